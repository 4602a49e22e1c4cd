"""``sceneseek search``: a query in, moments out, as text, JSON or a page."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, TypedDict

from ui.cli.console import answer_console, plain, print_json, side_console
from ui.export import format_of, write_export
from ui.export.html_page import format_span, write_search_page
from ui.services.answers import as_cards, as_json, best_hits
from ui.services.highlight import excerpt, pieces
from ui.services.query_pictures import read_picture, small_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from indexer.core.types import Image, ModalityName
    from search.engine import Ranking
    from search.moments import Hit, Moment
    from search.query.filters import Filters
    from ui.services.context import Context

__all__ = ["SearchRequest", "print_moments", "search_moments"]

_LONGEST_TEXT = 200
_LONG_S = 1.5


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What was typed after ``sceneseek search``."""

    text: str = ""
    image: Path | None = None
    like: str = ""
    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    page: int = 1
    by_video: bool = False
    html: Path | None = None
    export: Path | None = None
    as_json: bool = False


def search_moments(context: Context, request: SearchRequest) -> None:
    """Search, and print what was found.

    Raises:
        UsageError: two kinds of output were asked for, or the file cannot be written.
        QueryError: the request cannot be understood or answered.
        StoreError: there is no index, or it cannot be read.
    """
    from indexer.core.errors import UsageError

    if sum([request.html is not None, request.export is not None, request.as_json]) > 1:
        raise UsageError("Several of --html, --export and --json were asked for.", hint="Use one of them.")
    if request.export is not None:
        format_of(request.export)
    given = _given(context, request)
    with context.open_engine(_said_if_long) as engine:
        query = engine.parse(request.text).query(**given)
        ranking = engine.search(replace(query, min_confidence=context.settings.search.min_confidence))
    question = request.text or (f"picture {request.image}" if request.image else f"like {request.like}")
    _say_what_is_missing(ranking, _asked_for(ranking, request))
    if request.html is not None:
        _write_page(request.html, ranking, request.text if request.image else question)
        side_console().print(f"{len(ranking.moments)} moments written to {plain(request.html)}.", soft_wrap=True)
    elif request.export is not None:
        written = write_export(request.export, ranking, question)
        side_console().print(f"{len(ranking.moments)} moments written to {plain(request.export)}.", soft_wrap=True)
        if written.unopened:
            side_console().print(_about_unopened(written.unopened), soft_wrap=True)
    elif request.as_json:
        print_json(as_json(ranking, question))
    else:
        _print_answer(answer_console(), ranking, request)


def _write_page(path: Path, ranking: Ranking, question: str) -> None:
    """The page of a search; a picture that was searched for is on it."""
    image = ranking.query.image
    shown = None if image is None else small_jpeg(image)
    write_search_page(path, "sceneseek", question, as_cards(ranking), query_image=shown)


def print_moments(console: Console, ranking: Ranking) -> None:
    """The moments, best first: when, where, and why."""
    for rank, moment in enumerate(ranking.moments, start=ranking.query.offset + 1):
        label = f"  [magenta]{plain(moment.video.label)}[/]" if moment.video.label else ""
        when = f"[bold cyan]{format_span(moment.start_s, moment.end_s)}[/]"
        others = len(ranking.others.get(moment.video.id, ()))
        more = f"  [dim]+{others} more in this video[/]" if others else ""
        console.print(f"{rank:3}  {when}  [bold]{plain(_name(moment))}[/]{label}{more}", soft_wrap=True)
        console.print(f"     [dim]{plain(_short_path(moment.video.path))}[/]", soft_wrap=True)
        reasons = "  ".join(_reason(hit, is_ranked=bool(ranking.searched)) for hit in best_hits(moment))
        if reasons:
            console.print(f"     {reasons}", soft_wrap=True)


class _Given(TypedDict):
    """What a query takes besides its text."""

    image: Image | None
    like: tuple[str, float] | None
    filters: Filters
    weights: Mapping[ModalityName, float]
    top_k: int
    offset: int
    group_by_video: bool


def _given(context: Context, request: SearchRequest) -> _Given:
    top_k = context.settings.search.top_k
    return _Given(
        image=read_picture(request.image) if request.image else None,
        like=_moment_named(request.like) if request.like else None,
        filters=_filters(request),
        weights=_weights(context.settings.search.weights, request),
        top_k=top_k,
        offset=(request.page - 1) * top_k,
        group_by_video=request.by_video,
    )


def _filters(request: SearchRequest) -> Filters:
    from search.query.filters import Filters, parse_condition

    return Filters(request.labels, request.paths, tuple(parse_condition(text) for text in request.conditions))


def _weights(settings: Mapping[str, float], request: SearchRequest) -> Mapping[ModalityName, float]:
    """The settings' weights, those of the command instead, and nothing but what ``--only`` names."""
    from indexer.core.types import SPACE_OF_MODALITY

    weights = {name: settings.get(name, 1.0) for name in SPACE_OF_MODALITY}
    weights.update(_weight(text) for text in request.weights)
    only = _only(request)
    if only:
        weights = {name: (weight or 1.0) if name in only else 0.0 for name, weight in weights.items()}
    return weights


def _weight(text: str) -> tuple[ModalityName, float]:
    from indexer.core.errors import QueryError
    from search.modalities import modality_named

    name, _, number = text.partition("=")
    try:
        return modality_named(name.strip()), float(number)
    except ValueError as error:
        if isinstance(error, QueryError):
            raise
        raise QueryError(f"'{text}' is no weight.", hint="Write it as subtitle=2.") from error


def _only(request: SearchRequest) -> set[ModalityName]:
    from search.modalities import modality_named

    return {modality_named(name.strip()) for text in request.only for name in text.split(",") if name.strip()}


def _moment_named(text: str) -> tuple[str, float]:
    """``VIDEO@SECONDS``, or ``VIDEO@h:mm:ss``."""
    from indexer.core.errors import QueryError

    video, _, time = text.rpartition("@")
    if not video or not re.fullmatch(r"\d+(\.\d+)?|(\d+:)?\d{1,2}:\d{2}(\.\d+)?", time):
        raise QueryError(f"'{text}' names no moment.", hint="Write it as VIDEO@SECONDS, such as holiday.mp4@75.")
    seconds = 0.0
    for part in time.split(":"):
        seconds = 60 * seconds + float(part)
    return video, seconds


def _print_answer(console: Console, ranking: Ranking, request: SearchRequest) -> None:
    from search.modalities import about_absent

    if ranking.total and not ranking.moments:
        console.print("There are no more moments.")
        return
    if not ranking.moments:
        console.print("Nothing found.")
        if not ranking.unlikely:
            console.print("Try other words, or fewer filters; 'sceneseek status' says what the index holds.")
        if absent := about_absent(_absent(ranking)):
            console.print(f"[dim]{absent}[/]", soft_wrap=True)
    print_moments(console, ranking)
    if ranking.has_more:
        console.print(f"[dim]More with --page {request.page + 1}.[/]")
    elif ranking.unlikely:
        console.print(_about_unlikely(len(ranking.unlikely), is_all=not ranking.moments), soft_wrap=True)


@contextmanager
def _said_if_long() -> Iterator[None]:
    """Say what is being done to an index that is searched for the first time, once it takes long."""
    told = Timer(_LONG_S, lambda: side_console().print("Learning what unrelated queries find in this index ..."))
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()


def _about_unlikely(count: int, *, is_all: bool) -> str:
    which = "The nearest" if is_all else "The next"
    told = f"{which} {count} moments are" if count > 1 else f"{which} moment is"
    return f"{told} unlikely to be it; --min-confidence 0 shows {'them' if count > 1 else 'it'}."


def _about_unopened(count: int) -> str:
    files = f"{count} files cannot be opened" if count > 1 else "1 file cannot be opened"
    which = "their own time codes are" if count > 1 else "its own time code is"
    where = "them" if count > 1 else "it"
    return f"[yellow]{files}:[/] {which} unknown, and positions in {where} count from zero."


def _say_what_is_missing(ranking: Ranking, asked_for: set[ModalityName]) -> None:
    """What the index lacks, if it was asked for; what it has and could not be searched, in any case."""
    from search.modalities import PLAIN_NAMES, how_to_add

    for name in ranking.missing:
        if name in ranking.unsearched:
            told = f"[yellow]Not searched:[/] {PLAIN_NAMES[name]}. {plain(ranking.unsearched[name])}"
            side_console().print(told, soft_wrap=True)
        elif name in asked_for:
            side_console().print(f"[yellow]Not in this index:[/] {PLAIN_NAMES[name]}. {how_to_add(name)}")


def _absent(ranking: Ranking) -> list[ModalityName]:
    """What would have been looked at if the index had it; none where only conditions were asked for."""
    return [name for name in ranking.missing if ranking.searched and name not in ranking.unsearched]


def _asked_for(ranking: Ranking, request: SearchRequest) -> set[ModalityName]:
    """The kinds of evidence that the command or the text itself named."""
    typed = {
        name for name in ranking.missing if re.search(rf"(only|weight):(\S|(?<=,)\s)*{name}", request.text.casefold())
    }
    return typed | _only(request) | {_weight(text)[0] for text in request.weights}


def _name(moment: Moment) -> str:
    return moment.video.title or moment.video.path.name


def _short_path(path: Path) -> str:
    """Below the current folder or the home folder, the path from there."""
    for folder, sign in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return sign + str(path.relative_to(folder))
    return str(path)


def _reason(hit: Hit, *, is_ranked: bool) -> str:
    """Why a hit is there; where nothing was asked for but conditions, only what it says."""
    if not is_ranked:
        return f"[green]{hit.modality}[/]{_quotation(hit)}" if hit.text else ""
    words = f" words {hit.lexical:.0%}" if hit.lexical else ""
    return f"[green]{hit.modality}[/] {hit.score:.2f}{words}{_quotation(hit)}"


def _quotation(hit: Hit) -> str:
    if not hit.text:
        return ""
    shown = pieces(excerpt(hit.text, hit.matched, _LONGEST_TEXT), hit.matched)
    return f" “{''.join(f'[bold]{plain(part)}[/]' if found else plain(part) for part, found in shown)}”"
