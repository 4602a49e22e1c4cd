"""``sceneseek search``: a query in, moments out, as text, JSON or a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated

from ui.cli.console import answer_console, plain, print_json, side_console
from ui.cli.options import Config, Device, Index, Json, Labels, Paths, Where, argument, option
from ui.export import ExportFormat, format_of, write_export
from ui.services.answers import as_json as answer_as_json
from ui.services.answers import moment_views
from ui.services.context import Context, Flags
from ui.services.query_pictures import read_picture
from ui.services.wording import short_path

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.core.types import ModalityName
    from search.engine import Ranking
    from search.moments import Hit
    from ui.services.search import SearchRequest

_SYNTAX = (
    'In your own words; also "exact phrase", -word, label:x, duration<60, objects:bus>=2. In quotes if it has spaces.'
)
_LONGEST_TEXT = 200
_LONG_S = 1.5


def search(
    text: Annotated[str, argument("TEXT", _SYNTAX)] = "",
    index: Index = None,
    top_k: Annotated[int | None, option("--top-k -k N", "How many moments. (default: 10)")] = None,
    page: Annotated[int, option("--page N", "Which page of the moments.", min=1)] = 1,
    label: Labels = None,
    path: Paths = None,
    where: Where = None,
    weight: Annotated[
        list[str] | None, option("--weight KIND=NUMBER", "How much a kind of evidence counts: 'subtitle=2'.")
    ] = None,
    only: Annotated[list[str] | None, option("--only KIND", "Only this kind: frames, speech, ocr ...")] = None,
    by_video: Annotated[bool, option("--by-video", "The best moment of every video.")] = False,
    min_confidence: Annotated[
        float | None, option("--min-confidence NUMBER", "Leave out unlikely moments; 0: none.", min=0.0, max=1.0)
    ] = None,
    image: Annotated[Path | None, option("--image FILE", "Find what looks like this picture.")] = None,
    like: Annotated[str, option("--like VIDEO@SECONDS", "Find what is like this moment.")] = "",
    html: Annotated[Path | None, option("--html FILE", "Write a page with pictures instead.")] = None,
    export: Annotated[Path | None, option("--export FILE", "Write .csv, .json, .html, .edl or .otio instead.")] = None,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Find moments by words, by a picture, or by another moment."""
    from ui.services.search import SearchRequest, filters_of

    _check_one_output(html, export, as_json)
    form = "html" if html else format_of(export) if export else None
    flags: Flags = {"search.top_k": top_k, "search.min_confidence": min_confidence, "models.device": device}
    context = Context.load(config, index, flags)
    count = context.settings.search.top_k
    request = SearchRequest(
        text,
        image=read_picture(image) if image else None,
        like=_moment_named(like) if like else None,
        filters=filters_of(label or (), path or (), where or ()),
        weights=_weights_named(weight or ()),
        only=_modalities_named(only or ()),
        top_k=count,
        offset=(page - 1) * count,
        by_video=by_video,
    )
    question = text or (f"picture {image}" if image else f"like {like}")
    ranking = _find(context, request)
    if file := html or export:
        # A page shows the picture that was searched for.
        _write_file(file, ranking, text if image and form == "html" else question, form)
    elif as_json:
        print_json(answer_as_json(ranking, question))
    else:
        print_answer(answer_console(), ranking)


def _check_one_output(html: Path | None, export: Path | None, as_json: bool) -> None:
    from indexer.core.errors import UsageError

    if sum([html is not None, export is not None, as_json]) > 1:
        raise UsageError("Several of --html, --export and --json were asked for.", hint="Use one of them.")


def print_moments(console: Console, ranking: Ranking) -> None:
    """Print the moments, best first: when, where, and why."""
    for view in moment_views(ranking):
        video = view.moment.video
        label = f"  [magenta]{plain(video.label)}[/]" if video.label else ""
        more = f"  [dim]+{view.others} more in this video[/]" if view.others else ""
        when = f"{view.rank:3}  [bold cyan]{view.span}[/]"
        console.print(f"{when}  [bold]{plain(view.name)}[/]{label}{more}", soft_wrap=True)
        console.print(f"     [dim]{plain(short_path(video.path))}[/]", soft_wrap=True)
        reasons = [_reason(*one, is_ranked=bool(ranking.searched)) for one in view.evidence(_LONGEST_TEXT)]
        if any(reasons):
            console.print(f"     {'  '.join(filter(None, reasons))}", soft_wrap=True)


def print_answer(console: Console, ranking: Ranking) -> None:
    """Print the moments, or that there are none and what to try."""
    from search.modalities import about_absent
    from ui.services.search import absent

    if ranking.total and not ranking.moments:
        console.print("There are no more moments.")
        return
    if not ranking.moments:
        console.print("Nothing found.")
        if not ranking.unlikely:
            console.print("Try other words, or fewer filters; 'sceneseek status' says what the index holds.")
        if sentence := about_absent(absent(ranking)):
            console.print(f"[dim]{sentence}[/]", soft_wrap=True)
    print_moments(console, ranking)
    if ranking.has_more:
        console.print(f"[dim]More with --page {ranking.query.offset // ranking.query.top_k + 2}.[/]")
    elif ranking.unlikely:
        console.print(_about_unlikely(len(ranking.unlikely), is_all=not ranking.moments), soft_wrap=True)


def print_missing(ranking: Ranking, named: Collection[ModalityName]) -> None:
    """Say what the index has and could not be searched, and what it lacks of the modalities that were named."""
    from search.modalities import how_to_add, plain_name

    for name in ranking.missing:
        if name in ranking.unsearched:
            line = f"[yellow]Not searched:[/] {plain_name(name)}. {plain(ranking.unsearched[name])}"
            side_console().print(line, soft_wrap=True)
        elif name in named:
            side_console().print(f"[yellow]Not in this index:[/] {plain_name(name)}. {how_to_add(name)}")


@contextmanager
def notice_if_long(make_timer: Callable[[float, Callable[[], None]], Timer] = Timer) -> Iterator[None]:
    """Say that an index is searched for the first time, once the measurements for that take long."""
    notice = "Learning what unrelated queries find in this index ..."
    timer = make_timer(_LONG_S, lambda: side_console().print(notice))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def about_unopened(count: int) -> str:
    """What it means that so many of an edit list's files cannot be opened, as a sentence."""
    files = f"{count} files cannot be opened" if count > 1 else "1 file cannot be opened"
    which = "their own time codes are" if count > 1 else "its own time code is"
    where = "them" if count > 1 else "it"
    return f"[yellow]{files}:[/] {which} unknown, and positions in {where} count from zero."


def _find(context: Context, request: SearchRequest) -> Ranking:
    with context.open_engine(notice_if_long) as engine:
        ranking = engine.search(request.query(engine.parse, context.settings.search))
        print_missing(ranking, request.named_modalities(engine.parse))
    return ranking


def _write_file(path: Path, ranking: Ranking, question: str, form: ExportFormat | None) -> None:
    unopened = write_export(path, ranking, question, form)
    side_console().print(f"{len(ranking.moments)} moments written to {plain(path)}.", soft_wrap=True)
    if unopened:
        side_console().print(about_unopened(unopened), soft_wrap=True)


def _modalities_named(texts: Iterable[str]) -> set[ModalityName]:
    """Read the modalities that ``--only`` names, one or several at a time, separated by commas."""
    from search.modalities import modality_named

    return {modality_named(name.strip()) for text in texts for name in text.split(",") if name.strip()}


def _weights_named(texts: Iterable[str]) -> dict[ModalityName, float]:
    """Read weights such as ``subtitle=2``."""
    from indexer.core.errors import QueryError
    from search.modalities import modality_named

    weights = {}
    for text in texts:
        name, _, number = text.partition("=")
        modality = modality_named(name.strip())
        try:
            weights[modality] = float(number)
        except ValueError as error:
            raise QueryError(f"'{text}' is no weight.", hint="Write it as subtitle=2.") from error
    return weights


def _moment_named(text: str) -> tuple[str, float]:
    """Read ``VIDEO@SECONDS`` or ``VIDEO@h:mm:ss`` as the video and the second."""
    from indexer.core.errors import QueryError

    video, _, time = text.rpartition("@")
    if not video or not re.fullmatch(r"\d+(\.\d+)?|(\d+:)?\d{1,2}:\d{2}(\.\d+)?", time):
        raise QueryError(f"'{text}' names no moment.", hint="Write it as VIDEO@SECONDS, such as holiday.mp4@75.")
    seconds = 0.0
    for part in time.split(":"):
        seconds = 60 * seconds + float(part)
    return video, seconds


def _about_unlikely(count: int, *, is_all: bool) -> str:
    which = "The nearest" if is_all else "The next"
    moments = f"{which} {count} moments are" if count > 1 else f"{which} moment is"
    return f"{moments} unlikely to be it; --min-confidence 0 shows {'them' if count > 1 else 'it'}."


def _reason(hit: Hit, pieces: list[tuple[str, bool]], *, is_ranked: bool) -> str:
    """Why a moment is there; only the text where nothing but conditions was asked for."""
    text = "".join(f"[bold]{plain(part)}[/]" if found else plain(part) for part, found in pieces)
    quotation = f" “{text}”" if pieces else ""
    if not is_ranked:
        return f"[green]{hit.modality}[/]{quotation}" if quotation else ""
    words = f" words {hit.lexical:.0%}" if hit.lexical else ""
    return f"[green]{hit.modality}[/] {hit.score:.2f}{words}{quotation}"
