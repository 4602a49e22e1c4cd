"""The search page without its controls: a form in, HTML out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from indexer.core.errors import IndexMissingError, QueryError, SceneseekError
from search.engine import Ranking, SearchEngine
from search.modalities import about_absent, how_to_add, plain_name
from search.query.filters import Filters
from ui.services.index_jobs import IndexProgress
from ui.services.library import Library
from ui.services.search import absent
from ui.services.wording import format_time
from ui.web.picture_cache import PictureCache
from ui.web.result_view import LibraryState, Panel, in_order_of_time, render, render_answer, render_panel
from ui.web.search_form import MOST_SORTED, SearchForm

if TYPE_CHECKING:
    from pathlib import Path

    from search.catalogue import Catalogue
    from search.query.query import Query

_MOST_MARKS = 60
_SEE_TERMINAL = "The terminal that serves this page shows why."


@dataclass(frozen=True, slots=True)
class TimelineMoment:
    """A matching moment on a video's time line; ``strength`` in [0, 1] is its score as a share of the best one's."""

    start_s: float
    end_s: float
    time_s: float
    strength: float


class SearchPage:
    """Answers searches with HTML.

    Args:
        library: What is searched.
        pictures: The pictures that forms may ask by.
        shows_paths: Whether visitors may read where the files lie.
        growing: Tells what is being done to the library.
    """

    def __init__(
        self,
        library: Library,
        pictures: PictureCache | None = None,
        *,
        shows_paths: bool = True,
        growing: Callable[[], IndexProgress | None] = lambda: None,
    ) -> None:
        self._library = library
        self._growing = growing
        self.pictures = pictures or PictureCache()
        self.shows_paths = shows_paths

    def answer(self, form: SearchForm) -> str:
        """The moments that answer a form, or a panel that says what to do."""
        try:
            found = self._found(form)
        except IndexMissingError:
            found = self._nothing_yet(None)
        except SceneseekError as error:
            found = self.panel_of(error)
        except Exception:
            logging.getLogger(__name__).exception("A search failed: %s", form.to_address())
            found = _FAULT
        return found if isinstance(found, str) else render_panel(found, form.to_address())

    def news(self) -> dict[str, str]:
        """What the page's script asks every few seconds: the state of the library, and what is being done to it.

        ``library`` is a ``LibraryState``, or empty where it cannot be read; ``line`` says in words what is being done,
        and is empty if nothing is; ``figures`` is the same as HTML with a bar.
        """
        growth = self._growing()
        line, figures = (growth.line, render("growth.html.j2", growth=growth)) if growth else ("", "")
        return {"library": self._state(growth), "line": line, "figures": figures}

    def panel_of(self, error: SceneseekError) -> Panel:
        """What an error says; nothing about this machine where visitors may not read that."""
        if self.shows_paths or isinstance(error, QueryError):
            return Panel(error.message, hint=error.hint, is_error=True)
        return Panel("This cannot be answered now", _SEE_TERMINAL, is_error=True)

    def whole_ranking(self, form: SearchForm) -> Ranking:
        """All that answers a form, whatever its page, up to ``MOST_SORTED`` moments.

        Raises:
            SceneseekError: as ``SearchEngine.search`` does.
        """
        engine = self._library.engine()
        ranking = engine.search(replace(self._query(engine, form), top_k=MOST_SORTED, offset=0))
        ordered = in_order_of_time(ranking.moments) if form.sort == "time" else ranking.moments
        return replace(ranking, moments=tuple(ordered))

    def question(self, form: SearchForm) -> str:
        """What a form asks, in words.

        Raises:
            SceneseekError: the index cannot be read.
        """
        if form.like is None:
            return "like a picture" if form.picture else form.text.strip()
        video = self._library.video(form.like[0])
        return f"like {video.title or video.path.name if video else form.like[0]} at {format_time(form.like[1])}"

    def timeline(self, form: SearchForm, video_id: str) -> list[TimelineMoment]:
        """Every moment of one video that answers a form, in order of time.

        Raises:
            SceneseekError: as ``SearchEngine.search`` does.
        """
        video = self._library.video(video_id)
        if video is None or form.is_empty:
            return []
        engine = self._library.engine()
        query = self._query(engine, replace(form, page=1, sort="relevance", by_video=False))
        if video_id not in engine.catalogue().accepted(query.filters):
            return []
        here = Filters(paths=(video.path.as_posix(),))
        moments = engine.search(replace(query, filters=here, top_k=_MOST_MARKS)).moments
        best = max((moment.score for moment in moments), default=0.0)
        marks = [
            TimelineMoment(moment.start_s, moment.end_s, moment.time_s, moment.score / best if best else 1.0)
            for moment in moments
            if moment.video.id == video_id
        ]
        return sorted(marks, key=lambda mark: (mark.start_s, mark.end_s))

    def roots(self, catalogue: Catalogue | None) -> Sequence[Path] | None:
        """The indexed folders, if visitors may not know more of a path than lies in them; else None."""
        if self.shows_paths:
            return None
        return catalogue.manifest.roots if catalogue is not None and catalogue.manifest is not None else ()

    def _nothing_yet(self, catalogue: Catalogue | None) -> Panel:
        growth = self._growing()
        if growth is not None:
            return replace(_BUILDING, growth=growth)
        return _NONE_READ if catalogue is not None and catalogue.commits else _NO_INDEX

    def _state(self, growth: IndexProgress | None) -> LibraryState | Literal[""]:
        try:
            catalogue = self._library.catalogue()
        except SceneseekError:
            return ""
        if catalogue is not None and catalogue.videos:
            return "ready"
        return "building" if growth is not None else "empty"

    def _query(self, engine: SearchEngine, form: SearchForm) -> Query:
        catalogue = engine.catalogue()
        if form.like is not None and form.like[0] not in catalogue.videos:
            # Only ids are accepted: by trying paths, a visitor could learn where files lie.
            raise QueryError("The video to find similar moments to is not in this library (any more).")
        image = self.pictures.find(form.picture) if form.picture else None
        request = form.request(image=image, within=self.roots(catalogue))
        return request.query(engine.parse, self._library.context.settings.search)

    def _found(self, form: SearchForm) -> str | Panel:
        engine = self._library.engine()
        catalogue = engine.catalogue()
        if not catalogue.videos:
            return self._nothing_yet(catalogue)
        if form.is_empty:
            return _welcome(engine)
        ranking = engine.search(self._query(engine, form))
        unsearched = self._unsearched(ranking)
        if not ranking.moments:
            return _nothing(form, ranking, unsearched)
        lacking = [name for name in ranking.missing if name in form.kinds and name not in ranking.unsearched]
        missing = [f"This library has no {plain_name(name)} yet. {how_to_add(name)}" for name in lacking]
        return render_answer(
            form,
            ranking,
            heading=_heading(engine, form, ranking),
            missing=[*unsearched, *missing],
            roots=self.roots(catalogue),
        )

    def _unsearched(self, ranking: Ranking) -> list[str]:
        """A sentence for each modality that could not be searched; reasons name files, which not all may read."""
        for name, reason in ranking.unsearched.items():
            logging.getLogger(__name__).warning("Not searched: %s. %s", plain_name(name), reason)
        return [
            f"Not searched: {plain_name(name)}. {reason if self.shows_paths else _SEE_TERMINAL}"
            for name, reason in ranking.unsearched.items()
        ]


_NO_INDEX = Panel(
    "Your library is empty so far",
    "Nothing has been indexed yet. Add a folder of videos, and you can search it while it is still being read.",
    tab="Library",
    library="empty",
)
_BUILDING = Panel(
    "Your library is being built",
    "Searching works as soon as the first video is in. This page notices by itself.",
    tab="Library",
    library="building",
)
_NONE_READ = Panel(
    "No video can be searched yet",
    "None of them could be read, or indexing was broken off before the first one was in. The Library tab says which, "
    "and goes on from there.",
    tab="Library",
    library="empty",
)
_FAULT = Panel(
    "Something went wrong",
    "This search could not be answered because of a fault in the program.",
    "Try again, or other words. The terminal that serves this page shows the details.",
    is_error=True,
)


def _welcome(engine: SearchEngine) -> Panel:
    videos = engine.catalogue().videos
    length = format_time(sum(video.duration_s for video in videos.values()))
    amount = f"{len(videos)} video{'s' if len(videos) != 1 else ''} ({length})"
    links = tuple((text, SearchForm(text=text).to_address()) for text in engine.examples())
    return Panel(
        "What do you remember?",
        f"Describe a picture, a sentence, a sign or a sound. {amount} can be searched.",
        "For example, from your own library:" if links else "",
        links=links,
        library="ready",
    )


def _nothing(form: SearchForm, ranking: Ranking, unsearched: Sequence[str]) -> Panel:
    if form.page > 1:
        return Panel("There are no more moments", links=(("Back to the first page", form.on_page(1).to_address()),))
    links = []
    if ranking.unlikely:
        links.append(("Show the nearest moments all the same", replace(form, unlikely=True).to_address()))
    if replace(form, text="", like=None, picture="") != SearchForm(weights=form.weights):
        links.append(("Search without filters", SearchForm(form.text, form.like, form.picture).to_address()))
    text = "No moment is likely to be what you describe." if ranking.unlikely else "Nothing here matches."
    hints = ["Try other words, or fewer of them.", about_absent(absent(ranking)), *unsearched]
    return Panel("Nothing found", text, " ".join(filter(None, hints)), links=tuple(links))


def _heading(engine: SearchEngine, form: SearchForm, ranking: Ranking) -> str:
    number = f"{ranking.total}{'+' if ranking.has_more else ''}"
    counted = f"{number} {'video' if form.by_video else 'moment'}{'s' if ranking.total != 1 else ''}"
    if form.picture:
        return f"{counted} like your picture"
    if form.like is not None:
        video = engine.catalogue().videos.get(form.like[0])
        return f"{counted} like the one in {video.title or video.path.name}" if video else counted
    return f"{counted} for “{form.text.strip()}”" if form.text.strip() else counted
