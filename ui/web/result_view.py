"""A search's answer as HTML for the page: cards to play, or a panel that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlencode

from search.engine import Ranking
from search.html import rendered
from search.moments import Hit, Moment
from search.query.filters import path_within
from ui.export.html_page import MODALITY_NAMES, Evidence, format_span, format_time
from ui.services.highlight import excerpt
from ui.web.search_form import PAGE_SIZE, SearchForm

if TYPE_CHECKING:
    from indexer.core.errors import SceneseekError
    from ui.services.index_jobs import IndexProgress

__all__ = [
    "EXPORTS",
    "Card",
    "LibraryState",
    "Panel",
    "card_of",
    "folder_shown",
    "in_order_of_time",
    "render_answer",
    "render_growth",
    "render_panel",
    "render_player",
]

LibraryState: TypeAlias = Literal["empty", "building", "ready"]
"""Nothing to search; nothing yet, but soon; something."""

EXPORTS: Mapping[str, str] = {
    "csv": "Spreadsheet",
    "html": "Web page",
    "edl": "Edit list (EDL)",
    "otio": "Timeline (OTIO)",
    "json": "JSON",
}
_LONGEST_TEXT = 220


@dataclass(frozen=True, slots=True)
class Card:
    """One moment as the page shows it.

    ``time_s`` is the second to play from. ``likeness`` says how sure the moment is an answer, in words.
    """

    rank: int
    video_id: str
    name: str
    folder: str
    label: str
    start_s: float
    end_s: float
    time_s: float
    evidence: tuple[Evidence, ...]
    others: int = 0
    likeness: str = ""

    @property
    def span(self) -> str:
        """When it happens, as h:mm:ss – h:mm:ss."""
        return format_span(self.start_s, self.end_s)

    @property
    def clock(self) -> str:
        """The second it is played from, as h:mm:ss."""
        return format_time(self.time_s)

    @property
    def picture(self) -> str:
        """The address of its thumbnail."""
        return f"/media/{self.video_id}/picture.jpg?{urlencode({'t': f'{self.time_s:.3f}'})}"

    @property
    def clip(self) -> str:
        """The address that gives the moment as a file of its own."""
        return f"/media/{self.video_id}/clip?{urlencode({'start': f'{self.start_s:.3f}', 'end': f'{self.end_s:.3f}'})}"

    @property
    def more_like_it(self) -> str:
        """The address of the search for moments like this one."""
        return SearchForm(like=(self.video_id, self.time_s)).to_address()


@dataclass(frozen=True, slots=True)
class Panel:
    """Something to say instead of moments: what is the matter, and what to do.

    ``links`` are labels with the addresses they lead to (a form's), ``tab`` a tab of the page to open. ``library`` is
    what the library was like where the panel is about that: the page's script asks anew when it is so no more.
    """

    title: str
    text: str = ""
    hint: str = ""
    links: tuple[tuple[str, str], ...] = ()
    tab: str = ""
    library: LibraryState | Literal[""] = ""
    growth: IndexProgress | None = None
    is_error: bool = False

    @classmethod
    def of_error(cls, error: SceneseekError) -> Panel:
        """What an error says."""
        return cls(error.message, hint=error.hint, is_error=True)


def card_of(rank: int, moment: Moment, others: int = 0, roots: Sequence[Path] | None = None) -> Card:
    """A moment with its best piece of evidence of each kind; ``roots`` as for ``folder_shown``."""
    video = moment.video
    best = (moment.best_hit(modality) for modality in moment.modalities)
    return Card(
        rank=rank,
        video_id=video.id,
        name=video.title.strip() or video.path.name,
        folder=folder_shown(video.path, roots),
        label=video.label,
        start_s=moment.start_s,
        end_s=moment.end_s,
        time_s=moment.time_s,
        evidence=tuple(_evidence(hit) for hit in best if hit is not None),
        others=others,
        likeness=_likeness(moment),
    )


def folder_shown(path: PurePath, roots: Sequence[Path] | None) -> str:
    """The last two folders above a file: enough to tell it, and a filter that finds it (see ``search.query.filters``).

    Args:
        path: Where the file lies.
        roots: The indexed folders, if of them and what is above only their names may be shown.
    """
    seen = path if roots is None else path_within(path, roots)
    return "/".join(seen.parent.parts[-2:]).lstrip("/")


def in_order_of_time(moments: Sequence[Moment]) -> list[Moment]:
    """The moments video by video, each from its beginning on."""
    return sorted(moments, key=lambda moment: (moment.video.path.as_posix(), moment.start_s, moment.end_s))


def render_answer(
    form: SearchForm,
    ranking: Ranking,
    *,
    heading: str,
    missing: Sequence[str] = (),
    roots: Sequence[Path] | None = None,
) -> str:
    """The cards of one page of a ranking, with what there is to do with them.

    Args:
        form: What was asked.
        ranking: The answer; all of it if it is to be in the order of time, else one page.
        heading: What was asked, in words.
        missing: Kinds of evidence that were asked for and that the index lacks, as sentences.
        roots: As for ``folder_shown``.
    """
    offset = (form.page - 1) * PAGE_SIZE
    moments: Sequence[Moment] = ranking.moments
    has_more = ranking.has_more
    if form.sort == "time":
        ordered = in_order_of_time(moments)
        moments, has_more = ordered[offset : offset + PAGE_SIZE], len(ordered) > offset + PAGE_SIZE
    cards = [
        card_of(rank, moment, len(ranking.others.get(moment.video.id, ())), roots)
        for rank, moment in enumerate(moments, start=offset + 1)
    ]
    return _render(
        "answer.html.j2",
        form=form,
        cards=cards,
        heading=heading,
        missing=missing,
        took=_duration(ranking.took_s),
        unlikely=replace(form, unlikely=True, page=1).to_address() if ranking.unlikely and not has_more else "",
        has_more=has_more,
        address=form.to_address(),
        earlier=form.on_page(form.page - 1).to_address(),
        later=form.on_page(form.page + 1).to_address(),
        exports=EXPORTS,
    )


def render_panel(panel: Panel, address: str = "") -> str:
    """A panel instead of cards; ``address`` is what the page's address is to be."""
    return _render("panel.html.j2", panel=panel, address=address)


def render_growth(growth: IndexProgress) -> str:
    """How far the library is that is being built."""
    return _render("growth.html.j2", growth=growth)


def render_player() -> str:
    """The player, empty."""
    return _render("player.html.j2")


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _evidence(hit: Hit) -> Evidence:
    text = excerpt(hit.text, hit.matched, _LONGEST_TEXT)
    return Evidence(hit.modality, hit.score, text, hit.lexical, hit.matched)


def _likeness(moment: Moment) -> str:
    confidence = moment.confidence
    if confidence is None:
        return ""
    return "sure" if confidence >= 0.99 else "likely" if confidence >= 0.9 else "perhaps"


def _render(template: str, **values: Any) -> str:
    return rendered("ui.web", template, {"modality_names": MODALITY_NAMES, **values})
