"""The second stage of indexing: what was read of a video becomes records."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from indexer.core.errors import MediaError, SceneseekError, UnfitContentError
from indexer.core.types import Embedding, Facet, Keyframe, ModalityName, Record, Samples, Segment, Video
from indexer.modalities.objects.segments import SeenFrame, object_segments, object_vectors
from indexer.modalities.ocr.frame_selection import TextTracker
from indexer.modalities.sounds.segments import sound_segments
from indexer.modalities.speech.segments import SpeechTally, speech_segments
from indexer.modalities.video_facts import describe_sound, with_descriptors
from indexer.models.base import Models, OptionalRole
from indexer.reading import Audible, Began, Failed, Finished, KeyframeBatch, ReadEvent, TextFrames

if TYPE_CHECKING:
    from indexer.media.read.loudness import LoudnessMeter

__all__ = ["ENCODING_VERSIONS", "UNHEARD", "Encoded", "HeardReport", "encode_events"]

T = TypeVar("T")
HeardReport: TypeAlias = Callable[[Video, float], None]
ENCODING_VERSIONS: Mapping[OptionalRole, str] = MappingProxyType(
    {"speech": "1", "ocr": "2", "sounds": "1", "objects": "1", "captions": "1"}
)
"""How what a model finds becomes records, by role; a new number makes the modality anew in every index."""
UNHEARD = "Its sound cannot be heard"
"""How the warning begins that a video gets whose sound is damaged."""

_SIGNS_OF_A_FAILED_DEVICE = ("out of memory", "cuda error", "cublas", "cudnn")
_SEGMENTS_AT_ONCE = 16
_CHEAP_RATE = 8_000  # in Hz; nobody listens, and loudness is taken from the sound as it was decoded


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records ready to be written, and the keyframes to be shown for them."""

    records: Sequence[Record] = ()
    keyframes: Sequence[Keyframe] = ()


def encode_events(
    events: Iterator[ReadEvent], models: Models, report_heard: HeardReport
) -> Iterator[tuple[ReadEvent, Encoded]]:
    """Every event with what it gives to write; an event may come back several times, with one part of it each.

    A video whose content some model cannot take comes back as ``Failed``, and its further events are left out.

    Args:
        events: Of the first stage.
        models: Those of the index.
        report_heard: Told how many passes over a video's sound are done, counting the part of the one under way;
            called in the thread that iterates.

    Raises:
        ModelError: a model cannot be loaded.
    """
    encoder: _VideoEncoder | None = None
    for event in events:
        if isinstance(event, Began):
            encoder = _VideoEncoder(event, models, report_heard)
        elif isinstance(event, Failed):
            encoder = None
        if encoder is None:
            if not isinstance(event, KeyframeBatch | TextFrames | Audible | Finished):
                yield event, Encoded()
            continue  # the rest of a video that has failed
        try:
            yield from encoder.parts_of(event)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, UnfitContentError) as error:
            if not _is_of_the_video(error):
                raise
            began, encoder = encoder.began, None
            logging.getLogger(__name__).debug("Cannot encode %s", began.video.path, exc_info=True)
            yield Failed(began.job, began.video, f"cannot be encoded ({type(error).__name__}: {error})"), Encoded()
        if isinstance(event, Finished):
            encoder = None


def _is_of_the_video(error: Exception) -> bool:
    """Whether this video alone is to blame: on a device that fails, every one would, for no fault of its own."""
    if isinstance(error, SceneseekError):
        return isinstance(error, UnfitContentError)
    return not any(sign in str(error).casefold() for sign in _SIGNS_OF_A_FAILED_DEVICE)


@dataclass(slots=True)
class _VideoEncoder:
    """What is known of one video while its events come by."""

    began: Began
    models: Models
    report_heard: HeardReport
    _counts: Counter[ModalityName] = field(default_factory=Counter)
    _seen: list[SeenFrame] = field(default_factory=list)
    _captions: list[Segment] = field(default_factory=list)
    _facts: dict[str, Facet] = field(default_factory=dict)
    _warnings: list[str] = field(default_factory=list)
    _texts: TextTracker | None = None
    _passes_heard: int = 0

    def parts_of(self, event: ReadEvent) -> Iterator[tuple[ReadEvent, Encoded]]:
        """The event with its records, in one or several parts."""
        match event:
            case KeyframeBatch(keyframes=keyframes):
                yield event, self._look(keyframes)
            case TextFrames():
                self._read(event)
                yield event, Encoded()
            case Audible():
                for records in self._listen(event):
                    yield event, Encoded(records)
                yield event, Encoded()
            case Finished():
                yield self._completed(event), Encoded(list(self._last_records(event)))
            case _:
                yield event, Encoded()

    def _wants(self, modality: ModalityName) -> bool:
        return modality in self.began.modalities

    def _look(self, keyframes: Sequence[Keyframe]) -> Encoded:
        images = [keyframe.image for keyframe in keyframes]
        if self.models.objects and self._wants("objects"):
            for keyframe, detections in zip(keyframes, self.models.objects.detect(images), strict=True):
                span = keyframe.shot, keyframe.start_s, keyframe.end_s, keyframe.time_s
                self._seen.append(SeenFrame(*span, tuple(detections)))
        if self.models.captions and self._wants("captions"):
            for keyframe, text in zip(keyframes, self.models.captions.describe(images), strict=True):
                self._captions += _captions(keyframe, text)
        if not self._wants("frames"):
            return Encoded()
        return Encoded(self._frame_records(keyframes, self.models.frames.encode_images(images)), keyframes)

    def _frame_records(self, keyframes: Sequence[Keyframe], vectors: Embedding) -> list[Record]:
        return [
            Record(
                id=self._next_id("frames"),
                video_id=keyframe.video_id,
                modality="frames",
                start_s=keyframe.start_s,
                end_s=keyframe.end_s,
                time_s=keyframe.time_s,
                vector=vector,
                shot=keyframe.shot,
            )
            for keyframe, vector in zip(keyframes, vectors, strict=True)
        ]

    def _read(self, event: TextFrames) -> None:
        if self.models.ocr is None:
            raise ValueError("there are pictures to read and no model to read them")
        self._texts = self._texts or TextTracker(event.video.id)
        for frame in event.frames:
            self._texts.see(frame, self.models.ocr.read(frame.image))

    def _listen(self, event: Audible) -> Iterator[list[Record]]:
        """One pass over the sound for speech, which measures the loudness too, and one for other sounds."""
        try:
            yield from self._hear_speech(event) if "speech" in event.modalities else self._measure(event)
            if "sounds" in event.modalities:
                yield from self._hear_sounds(event)
        except MediaError as error:
            self._warnings.append(f"{UNHEARD}: {error.message}")

    def _windows(self, event: Audible, rate: int, meter: LoudnessMeter | None = None) -> Iterator[Samples]:
        from indexer.media.read.audio import iter_audio

        heard = 0
        for window in iter_audio(event.video.path, rate, meter=meter):
            yield window
            heard += len(window)
            share = heard / rate / event.video.duration_s if event.video.duration_s else 1.0
            self.report_heard(event.video, self._passes_heard + min(1.0, share))
        self._passes_heard += 1

    def _hear_speech(self, event: Audible) -> Iterator[list[Record]]:
        from indexer.media.read.loudness import LoudnessMeter

        recognizer = self.models.speech
        if recognizer is None:
            raise ValueError("there is speech to hear and no model to hear it")
        meter, tally = LoudnessMeter(), SpeechTally()
        utterances = recognizer.transcribe(self._windows(event, recognizer.sample_rate, meter))
        for segments in _batches(speech_segments(event.video.id, tally.counting(utterances)), _SEGMENTS_AT_ONCE):
            yield self._segment_records(segments)
        self._facts |= describe_sound(
            loudness_lufs=meter.lufs,
            spoken_s=tally.spoken_s,
            language=tally.language,
            duration_s=event.video.duration_s,
        )

    def _measure(self, event: Audible) -> Iterator[list[Record]]:
        from indexer.media.read.loudness import LoudnessMeter

        meter = LoudnessMeter()
        for _ in self._windows(event, _CHEAP_RATE, meter):
            pass
        self._facts |= describe_sound(loudness_lufs=meter.lufs, spoken_s=None, language="", duration_s=0.0)
        yield []

    def _hear_sounds(self, event: Audible) -> Iterator[list[Record]]:
        encoder = self.models.sounds
        if encoder is None:
            raise ValueError("there are sounds to hear and no model to hear them")
        heard = sound_segments(event.video.id, self._windows(event, encoder.sample_rate), encoder)
        for batch in _batches(heard, _SEGMENTS_AT_ONCE):
            yield [self._segment_record(sound.segment, sound.vector) for sound in batch]

    def _completed(self, event: Finished) -> Finished:
        """The event with what was found out and complained of meanwhile."""
        video = with_descriptors(event.video, self._facts)
        maximum, mean = self._object_vectors()
        warnings = (*event.warnings, *self._warnings)
        return replace(event, video=video, warnings=warnings, object_maximum=maximum, object_mean=mean)

    def _object_vectors(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How probable each class is, at best and on average over every keyframe that was looked at."""
        if self.models.objects is None or not self._seen:
            return (), ()
        sightings = [sighting for frame in self._seen for sighting in frame.sightings]
        maximum, mean = object_vectors(sightings, len(self._seen), len(self.models.objects.labels))
        return tuple(maximum.tolist()), tuple(mean.tolist())

    def _last_records(self, event: Finished) -> Iterator[Record]:
        texts = self._texts.segments() if self._texts else []
        objects = object_segments(event.video.id, self._seen)
        wanted = [
            segment for segment in (*event.segments, *texts, *objects, *self._captions) if self._wants(segment.kind)
        ]
        for segments in _batches(wanted, 256):
            yield from self._segment_records(segments)

    def _segment_records(self, segments: Sequence[Segment]) -> list[Record]:
        vectors = self.models.text.encode_documents([segment.text for segment in segments])
        return [self._segment_record(segment, vector) for segment, vector in zip(segments, vectors, strict=True)]

    def _segment_record(self, segment: Segment, vector: Embedding) -> Record:
        return Record(
            id=self._next_id(segment.kind),
            video_id=segment.video_id,
            modality=segment.kind,
            start_s=segment.start_s,
            end_s=segment.end_s,
            time_s=segment.start_s,
            vector=vector,
            text=segment.text,
            words=segment.words,
            sightings=segment.sightings,
        )

    def _next_id(self, modality: ModalityName) -> str:
        number = self._counts[modality]
        self._counts[modality] += 1
        return f"{self.began.video.id}/{modality}/{number:06d}"


def _captions(keyframe: Keyframe, text: str) -> list[Segment]:
    return [Segment(keyframe.video_id, keyframe.start_s, keyframe.end_s, text, "captions")] if text else []


def _batches(pieces: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(pieces)
    while batch := list(islice(iterator, size)):
        yield batch
