"""A search's answer as HTML for the page: moments to play, or a panel that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from search.engine import Ranking
from search.html import rendered
from search.modalities import headings
from search.moments import Moment
from search.query.filters import path_within
from ui.services.answers import moment_views
from ui.web.search_form import PAGE_SIZE, SearchForm

if TYPE_CHECKING:
    from ui.services.index_jobs import IndexProgress

LibraryState: TypeAlias = Literal["empty", "building", "ready"]
"""Nothing to search; nothing yet, but soon; something."""

_LONGEST_TEXT = 220


@dataclass(frozen=True, slots=True)
class Panel:
    """A message instead of moments: what is the matter, and what to do."""

    title: str
    text: str = ""
    hint: str = ""
    links: tuple[tuple[str, str], ...] = ()  # labels and the addresses of the searches they lead to
    tab: str = ""  # a tab of the page to open
    library: LibraryState | Literal[""] = ""  # if the message is about it; the script asks again when it changes
    growth: IndexProgress | None = None
    is_error: bool = False


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
    return render(
        "answer.html.j2",
        form=form,
        views=moment_views(ranking),
        longest_text=_LONGEST_TEXT,
        modality_names=headings(),
        folder_of=lambda view: folder_shown(view.moment.video.path, roots),
        heading=heading,
        missing=missing,
        took_s=ranking.took_s,
        unlikely=replace(form, unlikely=True, page=1).to_address() if ranking.unlikely and not has_more else "",
        has_more=has_more,
        address=form.to_address(),
        earlier=form.on_page(form.page - 1).to_address(),
        later=form.on_page(form.page + 1).to_address(),
    )


def render_panel(panel: Panel, address: str = "") -> str:
    """Render a panel; ``address`` is what the page's address is to be."""
    return render("panel.html.j2", panel=panel, address=address)


def render(template: str, **facts: Any) -> str:
    """Render one of the page's templates."""
    return rendered("ui.web", template, facts)
