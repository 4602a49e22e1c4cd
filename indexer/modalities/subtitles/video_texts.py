"""What is written about a video before anyone watches it: subtitles, its description, its title and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from indexer.core.errors import MediaError
from indexer.core.text import clean
from indexer.core.types import Cue, Facet, Segment
from indexer.corpus.labels import Annotation
from indexer.corpus.sidecars import Facts, Sidecars, read_facts, read_text, subtitle_language
from indexer.media.read.probe import MediaFacts
from indexer.media.read.subtitles import read_embedded, read_sidecar

__all__ = ["VideoTexts", "read_video_texts"]


@dataclass(slots=True)
class VideoTexts:
    """A video's title, description, label, facets and cues, and what could not be read.

    ``language`` is that of the cues, as far as their file's name or their stream says it: an ISO 639-1 code or empty.
    """

    title: str = ""
    description: str = ""
    label: str = ""
    facets: Mapping[str, Facet] = field(default_factory=dict)
    cues: list[Cue] = field(default_factory=list)
    language: str = ""
    warnings: list[str] = field(default_factory=list)

    def subtitles(self, video_id: str) -> list[Segment]:
        """One segment for each cue."""
        return [Segment(video_id, cue.start_s, cue.end_s, cue.text, "subtitle") for cue in self.cues]

    def descriptions(self, video_id: str, duration_s: float) -> list[Segment]:
        """Title and description as one segment over the whole video; none without text."""
        about = ". ".join(text.rstrip(". ") for text in (self.title, self.description) if text)
        return [Segment(video_id, 0.0, duration_s, about, "description")] if about else []


def read_video_texts(path: Path, sidecars: Sidecars, annotation: Annotation, media: MediaFacts) -> VideoTexts:
    """Read the files beside a video and the subtitles inside it. What is broken becomes a warning, never an error."""
    texts = VideoTexts(label=annotation.label, facets=annotation.facets)
    facts = _facts(sidecars, texts)
    texts.title = clean(facts.title or media.title)
    texts.description = clean(f"{_description(sidecars, texts)} {facts.description}")
    texts.label = clean(facts.label or texts.label)
    texts.facets = {clean(name): _clean_facet(value) for name, value in {**texts.facets, **facts.facets}.items()}
    cues = _cues(path, sidecars, media, texts)
    texts.cues = [Cue(cue.start_s, cue.end_s, text) for cue in cues if (text := clean(cue.text))]
    return texts


def _clean_facet(value: Facet) -> Facet:
    return clean(value) if isinstance(value, str) else value


def _facts(sidecars: Sidecars, texts: VideoTexts) -> Facts:
    if sidecars.facts is None:
        return Facts()
    try:
        return read_facts(sidecars.facts)
    except MediaError as error:
        texts.warnings.append(str(error))
        return Facts()


def _description(sidecars: Sidecars, texts: VideoTexts) -> str:
    if sidecars.description is None:
        return ""
    try:
        return read_text(sidecars.description)
    except MediaError as error:
        texts.warnings.append(str(error))
        return ""


def _cues(video: Path, sidecars: Sidecars, media: MediaFacts, texts: VideoTexts) -> list[Cue]:
    """The first subtitles that can be read: files beside the video come before streams inside it."""
    for path in sidecars.subtitles:
        texts.language = subtitle_language(path, video)
        try:
            return read_sidecar(path)
        except MediaError as error:
            texts.warnings.append(str(error))
    for stream, language in zip(media.text_subtitle_streams, media.text_subtitle_languages, strict=True):
        texts.language = language
        try:
            return read_embedded(video, stream)
        except MediaError as error:
            texts.warnings.append(str(error))
    return []
