"""What a modality is: its declaration, and the extractor that makes its records of one video.

While a video is indexed its parts pass by: keyframes and frames with text as they are decoded, then its sound, then its
end. An extractor overrides the methods for the parts its modality needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from indexer.core.types import Embedding, Facet, Keyframe, ModalityName, Record, Samples, Segment, Space
from indexer.models.base import Model, Models, Role, TextEncoder

if TYPE_CHECKING:
    from indexer.modalities.ocr.text_tracking import TextFrame
    from indexer.modalities.subtitles.video_texts import VideoTexts

__all__ = ["Extractor", "Modality", "Need", "RecordMaker", "Sound", "VideoContext", "batches"]

T = TypeVar("T")
Need: TypeAlias = Literal["texts", "keyframes", "text_frames", "sound"]
_SEGMENTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Modality:
    """One kind of evidence: how it is stored, made and called.

    Args:
        name: What it is stored, typed and filtered by, such as ``ocr``.
        space: The embedding space, and so the collection, of its records.
        plain_name: What people call it, such as "text in the picture".
        needs: The part of a video it is made of: ``texts`` beside or inside the file, ``keyframes``, ``text_frames``
            (frames in which there may be text) or ``sound``.
        extractor: Makes the extractor for one video.
        role: The model role that makes it; None where the text model is enough.
        version: Of the code that turns the model's output into records; a new one makes the modality anew in every
            index. Empty for what every index has.
        replaced_by_subtitles: Whether it is left out for videos with subtitles, unless ``speech.always`` is set.
        facts: The video's facts that only this modality finds out.
        heading: What one piece of it is called, such as "Picture"; empty if the plain name will do.
        cost: What adding it takes, in plain words.
    """

    name: ModalityName
    space: Space
    plain_name: str
    needs: Need
    extractor: Callable[[VideoContext], Extractor]
    role: Role | None = None
    version: str = ""
    replaced_by_subtitles: bool = False
    facts: tuple[str, ...] = ()
    heading: str = ""
    cost: str = ""

    @property
    def is_optional(self) -> bool:
        """Whether an index may do without it; then its role bears its name."""
        return self.role is not None and self.role.is_optional


@dataclass(slots=True)
class RecordMaker:
    """Makes the records of one modality of one video, numbered in the order they are made."""

    video_id: str
    modality: ModalityName
    space: Space
    text: TextEncoder
    _made: int = 0

    def of_segments(self, segments: Sequence[Segment]) -> list[Record]:
        """Records with the vectors that the text model gives."""
        vectors = self.text.encode_documents([segment.text for segment in segments])
        return [self.of_segment(segment, vector) for segment, vector in zip(segments, vectors, strict=True)]

    def of_segment(self, segment: Segment, vector: Embedding) -> Record:
        """A record with a vector ``(dim,)`` of its own."""
        return Record(
            id=self._next_id(),
            video_id=self.video_id,
            modality=self.modality,
            space=self.space,
            start_s=segment.start_s,
            end_s=segment.end_s,
            time_s=segment.start_s,
            vector=vector,
            text=segment.text,
            words=segment.words,
            sightings=segment.sightings,
        )

    def of_keyframe(self, keyframe: Keyframe, vector: Embedding, text: str = "") -> Record:
        """A record for the keyframe's span."""
        return Record(
            id=self._next_id(),
            video_id=self.video_id,
            modality=self.modality,
            space=self.space,
            start_s=keyframe.start_s,
            end_s=keyframe.end_s,
            time_s=keyframe.time_s,
            vector=vector,
            text=text,
            shot=keyframe.shot,
        )

    def _next_id(self) -> str:
        self._made += 1
        return f"{self.video_id}/{self.modality}/{self._made - 1:06d}"


@dataclass(frozen=True, slots=True)
class VideoContext:
    """What an extractor works with: the video, what is written about it, the index's models, and its record maker."""

    video_id: str
    texts: VideoTexts
    models: Models
    records: RecordMaker

    def model(self, role: str) -> Model:
        """The model of a role.

        Raises:
            ValueError: the index has none.
        """
        model = self.models.by_role.get(role)
        if model is None:
            raise ValueError(f"the index has no model for {role}")
        return model


class Sound(Protocol):
    """A video's sound, to be gone through as often as extractors ask."""

    @property
    def duration_s(self) -> float:
        """The video's duration."""

    def windows(self, sample_rate: int) -> Iterator[Samples]:
        """One channel at ``sample_rate`` Hz, in consecutive pieces of bounded size."""


@dataclass(slots=True)
class Extractor:
    """Makes the records of one modality of one video. ``facts`` are what it finds out about the whole video."""

    context: VideoContext
    facts: dict[str, Facet] = field(default_factory=dict)

    @property
    def records(self) -> RecordMaker:
        """Makes the records."""
        return self.context.records

    @property
    def class_probabilities(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """For each class of a detector its highest and its mean probability in the video; empty for other models."""
        return (), ()

    def on_keyframes(self, keyframes: Sequence[Keyframe]) -> list[Record]:
        """Take some keyframes, in time order; give the records that are ready."""
        raise NotImplementedError

    def on_text_frames(self, frames: Sequence[TextFrame]) -> None:
        """Take some frames that may hold text, in time order."""
        raise NotImplementedError

    def on_sound(self, sound: Sound) -> Iterator[list[Record]]:
        """Listen to the whole sound; give records as soon as they are ready."""
        raise NotImplementedError

    def on_end(self, duration_s: float) -> Iterable[Segment]:
        """Give the segments that are known only at the end; the text model encodes them."""
        return ()


def batches(stream: Iterable[T], size: int = _SEGMENTS_AT_ONCE) -> Iterator[list[T]]:
    """The stream in lists of ``size``; the last may be shorter."""
    iterator = iter(stream)
    while batch := list(islice(iterator, size)):
        yield batch
