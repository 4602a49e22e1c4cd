"""A search's answer as HTML for the page: moments to play, or a panel that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from search.engine import Ranking
from search.html import rendered
from search.moments import Moment
from search.query.filters import path_within
from ui.services.answers import moment_views
from ui.web.search_form import PAGE_SIZE, SearchForm

if TYPE_CHECKING:
    from indexer.core.errors import SceneseekError
    from ui.web.index_activity import Growth

__all__ = [
    "LibraryState",
    "Panel",
    "folder_shown",
    "in_order_of_time",
    "render_answer",
    "render_growth",
    "render_panel",
    "render_player",
]

LibraryState: TypeAlias = Literal["empty", "building", "ready"]
"""Nothing to search; nothing yet, but soon; something."""

_EXPORTS: Mapping[str, str] = {
    "csv": "Spreadsheet",
    "html": "Web page",
    "edl": "Edit list (EDL)",
    "otio": "Timeline (OTIO)",
    "json": "JSON",
}
_LONGEST_TEXT = 220


@dataclass(frozen=True, slots=True)
class Panel:
    """A message instead of moments: what is the matter, and what to do.

    Attributes:
        title: The heading.
        text: What is the matter.
        hint: What to do.
        links: Labels and the addresses of the searches they lead to.
        tab: A tab of the page to open.
        library: The state of the library, where the message is about it. The page's script asks again when it changes.
        growth: How far the library is that is being built.
        is_error: Whether something went wrong.
    """

    title: str
    text: str = ""
    hint: str = ""
    links: tuple[tuple[str, str], ...] = ()
    tab: str = ""
    library: LibraryState | Literal[""] = ""
    growth: Growth | None = None
    is_error: bool = False

    @classmethod
    def of_error(cls, error: SceneseekError) -> Panel:
        """The panel with an error's message and hint."""
        return cls(error.message, hint=error.hint, is_error=True)


def folder_shown(path: PurePath, roots: Sequence[Path] | None) -> str:
    """The last two folders above a file: enough to recognise it, and a filter that finds it (``search.query.filters``).

    Args:
        path: Where the file lies.
        roots: The indexed folders, if of them and the folders above only the names may be shown.
    """
    shown = path if roots is None else path_within(path, roots)
    return "/".join(shown.parent.parts[-2:]).lstrip("/")


def in_order_of_time(moments: Sequence[Moment]) -> list[Moment]:
    """Sort moments by video, and within each video by time."""
    return sorted(moments, key=lambda moment: (moment.video.path.as_posix(), moment.start_s, moment.end_s))


def render_answer(
    form: SearchForm,
    ranking: Ranking,
    *,
    heading: str,
    missing: Sequence[str] = (),
    roots: Sequence[Path] | None = None,
) -> str:
    """Render one page of a ranking: the moments, exports and links to other pages.

    Args:
        form: What was asked.
        ranking: The answer; in the order of time all of it, else one page.
        heading: What was asked, in words.
        missing: Kinds of evidence that were asked for and that the index lacks, as sentences.
        roots: As for ``folder_shown``.
    """
    has_more = ranking.has_more
    if form.sort == "time":
        offset = (form.page - 1) * PAGE_SIZE
        ordered = in_order_of_time(ranking.moments)
        has_more = len(ordered) > offset + PAGE_SIZE
        page = replace(ranking.query, offset=offset)
        ranking = replace(ranking, query=page, moments=tuple(ordered[offset : offset + PAGE_SIZE]))
    return _render(
        "answer.html.j2",
        form=form,
        views=moment_views(ranking),
        longest_text=_LONGEST_TEXT,
        folder_of=lambda view: folder_shown(view.moment.video.path, roots),
        heading=heading,
        missing=missing,
        took=_duration(ranking.took_s),
        unlikely=replace(form, unlikely=True, page=1).to_address() if ranking.unlikely and not has_more else "",
        has_more=has_more,
        address=form.to_address(),
        earlier=form.on_page(form.page - 1).to_address(),
        later=form.on_page(form.page + 1).to_address(),
        exports=_EXPORTS,
    )


def render_panel(panel: Panel, address: str = "") -> str:
    """Render a panel; ``address`` is what the page's address is to be."""
    return _render("panel.html.j2", panel=panel, address=address)


def render_growth(growth: Growth) -> str:
    """Render how far the library is that is being built."""
    return _render("growth.html.j2", growth=growth)


def render_player() -> str:
    """Render the empty player."""
    return _render("player.html.j2")


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _render(template: str, **facts: Any) -> str:
    return rendered("ui.web", template, facts)
