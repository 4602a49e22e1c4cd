"""Reads the texts about a video: subtitles, description, title, label and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from indexer.core.errors import MediaError
from indexer.core.text import clean
from indexer.core.types import Cue, Facet, Segment
from indexer.corpus.labels import Annotation
from indexer.corpus.sidecars import Facts, Sidecars, read_facts, read_text, subtitle_language
from indexer.media.read.probe import MediaFacts
from indexer.media.read.subtitles import read_embedded, read_sidecar

T = TypeVar("T")


@dataclass(slots=True)
class VideoTexts:
    """A video's texts; ``warnings`` name files that could not be read.

    ``language`` is that of the cues, an ISO 639-1 code, empty if unknown.
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
    """Read the files beside a video and the subtitles inside it. A broken file becomes a warning."""
    texts = VideoTexts(label=annotation.label, facets=annotation.facets)
    facts = _read(sidecars.facts, read_facts, Facts(), texts.warnings)
    description = _read(sidecars.description, read_text, "", texts.warnings)
    texts.title = clean(facts.title or media.title)
    texts.description = clean(f"{description} {facts.description}")
    texts.label = clean(facts.label or texts.label)
    texts.facets = {clean(name): _clean_facet(value) for name, value in {**texts.facets, **facts.facets}.items()}
    cues = _cues(path, sidecars, media, texts)
    texts.cues = [Cue(cue.start_s, cue.end_s, text) for cue in cues if (text := clean(cue.text))]
    return texts


def _clean_facet(value: Facet) -> Facet:
    return clean(value) if isinstance(value, str) else value


def _read(path: Path | None, read: Callable[[Path], T], default: T, warnings: list[str]) -> T:
    """A sidecar's content; the default if there is no file or it cannot be read."""
    if path is None:
        return default
    try:
        return read(path)
    except MediaError as error:
        warnings.append(str(error))
        return default


def _cues(video: Path, sidecars: Sidecars, media: MediaFacts, texts: VideoTexts) -> list[Cue]:
    """The first readable subtitles; files beside the video come before streams inside it."""
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
