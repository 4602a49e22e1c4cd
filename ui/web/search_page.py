"""The search page without its controls: a form in, HTML out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from indexer.errors import IndexMissingError, QueryError, SceneseekError
from search.engine import Ranking, SearchEngine
from search.modalities import PLAIN_NAMES, how_to_add
from ui.html_page import format_time
from ui.web.kept_pictures import KeptPictures
from ui.web.library import Library
from ui.web.result_view import Panel, in_order_of_time, render_answer, render_panel
from ui.web.search_form import MOST_SORTED, SearchForm

if TYPE_CHECKING:
    from indexer.types import Modality
    from search.query import Query

__all__ = ["SearchPage", "TimelineMoment"]

_WELCOME = "What do you remember?"
_MOST_MARKS = 60


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
    """

    def __init__(self, library: Library, pictures: KeptPictures | None = None, *, shows_paths: bool = True) -> None:
        self._library = library
        self.pictures = pictures or KeptPictures()
        self.shows_paths = shows_paths

    def answer(self, form: SearchForm) -> str:
        """The cards that answer a form, or a panel that says what to do."""
        try:
            engine = self._library.engine()
            if not engine.catalogue().videos:
                return render_panel(_EMPTY, form.to_address())
            return self._found(engine, form) if not form.is_empty else render_panel(_welcome(engine), form.to_address())
        except IndexMissingError:
            return render_panel(_NO_INDEX, form.to_address())
        except SceneseekError as error:
            return render_panel(self.panel_of(error), form.to_address())
        except Exception:
            logging.getLogger(__name__).exception("A search failed: %s", form.to_address())
            return render_panel(_FAULT, form.to_address())

    def panel_of(self, error: SceneseekError) -> Panel:
        """What an error says; nothing about this machine where visitors may not read that."""
        if self.shows_paths or isinstance(error, QueryError):
            return Panel.of_error(error)
        return Panel("This cannot be answered now", "Whoever runs this page sees why in its terminal.", is_error=True)

    def whole_ranking(self, form: SearchForm) -> Ranking:
        """All that answers a form, whatever its page: as many moments as can be put in order.

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
        here = replace(query.filters, paths=(video.path.as_posix(),))
        moments = engine.search(replace(query, filters=here, top_k=_MOST_MARKS)).moments
        best = max((moment.score for moment in moments), default=0.0)
        marks = [
            TimelineMoment(moment.start_s, moment.end_s, moment.time_s, moment.score / best if best else 1.0)
            for moment in moments
            if moment.video.id == video_id
        ]
        return sorted(marks, key=lambda mark: (mark.start_s, mark.end_s))

    def _query(self, engine: SearchEngine, form: SearchForm) -> Query:
        image = self.pictures.find(form.picture) if form.picture else None
        settings = self._library.context.settings.search
        return form.query(engine.parse, _weights(settings.weights), min_confidence=settings.min_confidence, image=image)

    def _found(self, engine: SearchEngine, form: SearchForm) -> str:
        ranking = engine.search(self._query(engine, form))
        if ranking.moments:
            heading = _heading(engine, form, ranking)
            return render_answer(form, ranking, heading=heading, missing=list(_missing(form, ranking)))
        return render_panel(_nothing(form, ranking), form.to_address())


_NO_INDEX = Panel(
    "Your library is empty so far",
    "Nothing has been indexed yet. Add a folder of videos, and you can search it while it is still being read.",
    tab="Library",
)
_EMPTY = Panel(
    "No video can be searched yet",
    "Either the first ones are still being indexed, or none could be read. The Library tab says which.",
    tab="Library",
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
    hint = "For example, from your own library:" if links else ""
    return Panel(
        _WELCOME, f"Describe a picture, a sentence, a sign or a sound. {amount} can be searched.", hint, links=links
    )


def _nothing(form: SearchForm, ranking: Ranking) -> Panel:
    if form.page > 1:
        return Panel("There are no more moments", links=(("Back to the first page", form.on_page(1).to_address()),))
    links = []
    if ranking.unlikely:
        links.append(("Show the nearest moments all the same", replace(form, unlikely=True).to_address()))
    if replace(form, text="", like=None, picture="") != SearchForm(weights=form.weights):
        links.append(("Search without filters", SearchForm(form.text, form.like, form.picture).to_address()))
    text = "No moment is likely to be what you describe." if ranking.unlikely else "Nothing here matches."
    return Panel("Nothing found", text, "Try other words, or fewer of them.", links=tuple(links))


def _heading(engine: SearchEngine, form: SearchForm, ranking: Ranking) -> str:
    number = f"{ranking.total}{'+' if ranking.has_more else ''}"
    what = "video" if form.by_video else "moment"
    counted = f"{number} {what}{'s' if ranking.total != 1 else ''}"
    if form.picture:
        return f"{counted} like your picture"
    if form.like is not None:
        video = engine.catalogue().videos.get(form.like[0])
        return f"{counted} like the one in {video.title or video.path.name}" if video else counted
    return f"{counted} for “{form.text.strip()}”" if form.text.strip() else counted


def _missing(form: SearchForm, ranking: Ranking) -> Sequence[str]:
    """A sentence for each kind of evidence that was asked for by name, and that this index does not have."""
    return [
        f"This library has no {PLAIN_NAMES[name]} yet. {how_to_add(name)}"
        for name in ranking.missing
        if name in form.kinds
    ]


def _weights(settings: Mapping[str, float]) -> dict[Modality, float]:
    return {name: settings.get(name, 1.0) for name in PLAIN_NAMES}
