"""Indexing one video: a job in, batches of records out. It knows no store and no other video.

Two threads work at the same time. One decodes the pictures, once; the other, in which the events are read, runs the
models. Memory is bounded, because records leave in batches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from indexer.core.errors import MediaError, SceneseekError, UnfitContentError
from indexer.core.prefetch import Prefetch, prefetch
from indexer.core.types import Facet, Keyframe, ModalityName, Record, Samples, Shot, Video
from indexer.corpus.labels import Annotation
from indexer.corpus.sidecars import Sidecars
from indexer.media.read.decode import Frame, FrameReader
from indexer.media.read.probe import MediaFacts, probe
from indexer.modalities.base import Extractor, Need, RecordMaker, VideoContext, batches
from indexer.modalities.ocr.frame_selection import TextWatch
from indexer.modalities.ocr.text_tracking import TextFrame
from indexer.modalities.registry import modality
from indexer.modalities.subtitles.video_texts import VideoTexts, read_video_texts
from indexer.modalities.video_facts import (
    describe_picture,
    describe_shots,
    describe_sound,
    describe_subtitles,
    with_descriptors,
)
from indexer.models.base import Models
from indexer.shots.sampling import Sampling
from indexer.shots.select import make_sampler

if TYPE_CHECKING:
    from indexer.media.read.loudness import LoudnessMeter

__all__ = [
    "UNHEARD",
    "Batch",
    "Failed",
    "Indexed",
    "Started",
    "VideoEvent",
    "VideoJob",
    "VideoSettings",
    "encode_video",
    "index_video",
    "start_reading",
]

UNHEARD = "Its sound cannot be heard"
"""How the warning begins that a video with damaged sound gets."""

_BATCHES_AHEAD = 4
_SEGMENTS_AT_THE_END = 256
_CHEAP_RATE = 8_000  # in Hz, where only the loudness is wanted: it is taken from the sound as it was decoded
_SIGNS_OF_A_FAILED_DEVICE = ("out of memory", "cuda error", "cublas", "cudnn")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a video is read.

    Args:
        sampling: Which frames become keyframes.
        max_side: Keyframes are scaled down to at most this many pixels on the longer side.
        batch_size: How many keyframes are encoded at once.
        speech_always: Whether to listen also to videos with subtitles.
    """

    sampling: Sampling
    max_side: int = 1280
    batch_size: int = 4
    speech_always: bool = False


@dataclass(frozen=True, slots=True)
class VideoJob:
    """All that is needed to index one video, also in another process.

    Args:
        video: What is known without opening the file: id, path, size, time and label.
        modalities: Those to make.
        sidecars: The files beside it.
        annotation: Its label and facts from the corpus.
        settings: How it is read.
        known_duration_s: The duration that earlier runs measured, if its pictures are not looked at for shots anew.
        corrupt_packets: How many were counted when its pictures were last decoded.
    """

    video: Video
    modalities: tuple[ModalityName, ...]
    sidecars: Sidecars
    annotation: Annotation
    settings: VideoSettings
    known_duration_s: float | None = None
    corrupt_packets: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """The file can be read, and its modalities follow. ``passes`` says how often it is gone through."""

    video: Video
    modalities: tuple[ModalityName, ...]
    passes: int


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some records, and the keyframes whose thumbnails belong to them. ``passed`` of all passes are done, in [0, n]."""

    records: Sequence[Record] = ()
    keyframes: Sequence[Keyframe] = ()
    passed: float = 0.0


@dataclass(frozen=True, slots=True)
class Indexed:
    """The video is complete.

    Args:
        video: With all facts that were found out.
        shots: How many were found; 0 if they were not looked for.
        corrupt_packets: How many were skipped.
        warnings: What could not be read.
        subtitle_facts: What its subtitles say of the speech.
        replaced_by_subtitles: The modalities that were left out because there are subtitles.
        listened: Whether its sound was gone through.
        object_maximum: See ``Commit``.
        object_mean: See ``Commit``.
    """

    video: Video
    shots: int
    corrupt_packets: int
    warnings: tuple[str, ...]
    subtitle_facts: Mapping[str, Facet]
    replaced_by_subtitles: frozenset[ModalityName] = frozenset()
    listened: bool = False
    object_maximum: tuple[float, ...] = ()
    object_mean: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The video cannot be indexed."""

    reason: str


VideoEvent: TypeAlias = Started | Batch | Indexed | Failed
ProgressCallback: TypeAlias = Callable[[float], None]


def index_video(job: VideoJob, models: Models) -> Iterator[VideoEvent]:
    """Make the records of a video: ``Started``, batches, ``Indexed``; or ``Failed`` at any point, as the last event.

    Raises:
        ModelError: a model cannot be loaded, or its device fails; no video is to blame.
    """
    with closing(start_reading(job)) as pieces:
        yield from encode_video(job, pieces, models)


def start_reading(job: VideoJob) -> Prefetch[Piece]:
    """Decode a video's pictures in a thread, a few batches ahead of ``encode_video``. The caller closes it."""
    pieces = prefetch(_read(job), _BATCHES_AHEAD)
    pieces.start()
    return pieces


def encode_video(
    job: VideoJob, pieces: Iterator[Piece], models: Models, report: ProgressCallback | None = None
) -> Iterator[VideoEvent]:
    """The second half of ``index_video``, for a caller that reads the next video meanwhile.

    Args:
        job: What to do.
        pieces: From ``start_reading``.
        models: Those of the index.
        report: Called with the passes done, also while listening gives no records for long; in the thread that reads
            the events.

    Raises:
        ModelError: a model cannot be loaded, or its device fails; no video is to blame.
    """
    try:
        yield from _events(job, pieces, models, report or _ignore)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, UnfitContentError) as error:
        if not _is_of_the_video(error):
            raise
        logging.getLogger(__name__).debug("Cannot encode %s", job.video.path, exc_info=True)
        yield Failed(f"cannot be encoded ({type(error).__name__}: {error})")


def _ignore(_passed: float) -> None:
    pass


def _is_of_the_video(error: Exception) -> bool:
    """Whether this video alone is to blame. On a device that fails, every video would fail."""
    if isinstance(error, SceneseekError):
        return isinstance(error, UnfitContentError)
    return not any(sign in str(error).casefold() for sign in _SIGNS_OF_A_FAILED_DEVICE)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is known once a file has been probed. ``sound`` are the modalities to listen for."""

    video: Video
    texts: VideoTexts
    modalities: tuple[ModalityName, ...]
    replaced: frozenset[ModalityName]
    sees: bool
    listens: bool
    sound: tuple[ModalityName, ...]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The pictures have been gone through; ``video`` has its true duration."""

    video: Video
    shots: int
    corrupt_packets: int


_KeyframeBatch: TypeAlias = tuple[Keyframe, ...]
Piece: TypeAlias = _Opened | _KeyframeBatch | list[TextFrame] | _Decoded | Failed


def _read(job: VideoJob) -> Iterator[Piece]:
    """Probe the file, then decode its pictures once. No file, however odd, may stop the run."""
    try:
        opened = _open(job)
        yield opened
        if opened.sees:
            yield from _Decoder(job, opened).pieces()
        else:
            yield _Decoded(opened.video, 0, job.corrupt_packets)
    except MediaError as error:
        yield Failed(str(error))
    except OSError as error:
        yield Failed(f"cannot be read: {error.strerror or error}")
    except Exception as error:
        logging.getLogger(__name__).debug("Unexpected fault in %s", job.video.path, exc_info=True)
        yield Failed(f"made the program stumble ({type(error).__name__}: {error})")


def _open(job: VideoJob) -> _Opened:
    media = probe(job.video.path)
    texts = read_video_texts(job.video.path, job.sidecars, job.annotation, media)
    video = _described(job.video, media, texts)
    if job.known_duration_s is not None:
        video = replace(video, duration_s=job.known_duration_s)
    replaced = frozenset(
        name
        for name in job.modalities
        if modality(name).replaced_by_subtitles and texts.cues and not job.settings.speech_always
    )
    made = tuple(name for name in job.modalities if name not in replaced)
    sound = tuple(name for name in _needing(made, "sound") if media.has_audio)
    sees = media.has_picture and bool(_needing(made, "keyframes") or _needing(made, "text_frames"))
    listens = media.has_audio and bool(sound or "frames" in made)
    return _Opened(video, texts, made, replaced, sees, listens, sound)


def _needing(names: Iterable[ModalityName], need: Need) -> list[ModalityName]:
    return [name for name in names if modality(name).needs == need]


def _described(video: Video, media: MediaFacts, texts: VideoTexts) -> Video:
    described = replace(
        video,
        duration_s=media.duration_s,
        frame_rate=media.frame_rate,
        width=media.width if media.has_picture else 0,
        height=media.height if media.has_picture else 0,
        has_audio=media.has_audio,
        title=texts.title,
        description=texts.description,
        label=texts.label,
        facets=texts.facets,
    )
    return with_descriptors(described, describe_picture(described))


class _Decoder:
    """One pass over a video's pictures, or two where keyframes and text cannot share one."""

    def __init__(self, job: VideoJob, opened: _Opened) -> None:
        self._settings = job.settings
        self._sampling = job.settings.sampling
        self._video = opened.video
        self._wants_keyframes = bool(_needing(opened.modalities, "keyframes"))
        wants_text = bool(_needing(opened.modalities, "text_frames"))
        self._watch = TextWatch(job.video.id) if wants_text else None
        self._shots = 0
        self._corrupt_packets = 0

    def pieces(self) -> Iterator[Piece]:
        """Keyframes and frames with text, each as soon as it is known, then ``_Decoded``.

        A sampling that looks at the whole video first would let frames with text pile up; so text gets its own pass.
        """
        if self._sampling.is_prompt:
            yield from self._pass(self._sampling, keyframes=self._wants_keyframes, watch=self._watch)
        else:
            if self._wants_keyframes:
                yield from self._pass(self._sampling, keyframes=True, watch=None)
            if self._watch:
                yield from self._pass(self._sampling.for_text, keyframes=False, watch=self._watch)
        if self._watch:
            self._watch.finish(self._video.duration_s)
            yield from self._texts()
        yield _Decoded(self._video, self._shots, self._corrupt_packets)

    def _pass(self, sampling: Sampling, *, keyframes: bool, watch: TextWatch | None) -> Iterator[Piece]:
        only = self._sampling.wants_codec_keyframes_only
        sampler = make_sampler(sampling, self._video.id, self._video.duration_s)
        with FrameReader(self._video.path, keyframes_only=only, max_side=self._settings.max_side) as reader:
            frames: Iterable[Frame] = watch.watch(reader) if watch else reader
            chosen = sampler.keyframes(frames)
            chosen = watch.noting(chosen) if watch else chosen
            while batch := tuple(islice(chosen, self._settings.batch_size if keyframes else 1)):
                if keyframes:
                    yield batch
                if watch:
                    yield from self._texts()
            self._corrupt_packets = reader.corrupt_packets
        if sampling is self._sampling:
            self._learn(sampler.shots)

    def _learn(self, shots: Sequence[Shot]) -> None:
        """Videos may last longer than their container says."""
        self._shots = len(shots)
        if shots and shots[-1].end_s > self._video.duration_s:
            self._video = replace(self._video, duration_s=shots[-1].end_s)
        if self._sampling.strategy == "shots":
            self._video = with_descriptors(self._video, describe_shots(len(shots), self._video.duration_s))

    def _texts(self) -> Iterator[list[TextFrame]]:
        if self._watch and (found := self._watch.take()):
            yield found


def _events(job: VideoJob, pieces: Iterator[Piece], models: Models, report: ProgressCallback) -> Iterator[VideoEvent]:
    opened = next(pieces, None)
    if not isinstance(opened, _Opened):
        if isinstance(opened, Failed):
            yield opened
        return
    extractors = {name: _extractor(name, opened, models) for name in opened.modalities}
    passes = opened.sees + (len(opened.sound) or opened.listens)
    yield Started(opened.video, job.modalities, passes)
    decoded: _Decoded | None = None
    for piece in pieces:
        match piece:
            case tuple():
                yield Batch(*_look(piece, extractors), _seen(piece[-1].time_s, opened.video))
            case list():
                for name in _needing(extractors, "text_frames"):
                    extractors[name].on_text_frames(piece)
                yield Batch(passed=_seen(piece[-1].time_s, opened.video))
            case _Decoded():
                decoded = piece
            case Failed():
                yield piece
                return
            case _:
                raise TypeError(f"no such piece: {piece}")
    if decoded is None:
        return
    listening = _Listening(decoded.video, opened, extractors, report)
    yield from listening.batches()
    yield from _ending(decoded.video, extractors, float(passes))
    yield _indexed(job, opened, decoded, extractors, listening)


def _extractor(name: ModalityName, opened: _Opened, models: Models) -> Extractor:
    declared = modality(name)
    records = RecordMaker(opened.video.id, name, declared.space, models.text)
    return declared.extractor(VideoContext(opened.video.id, opened.texts, models, records))


def _look(
    keyframes: _KeyframeBatch, extractors: Mapping[ModalityName, Extractor]
) -> tuple[list[Record], Sequence[Keyframe]]:
    records: list[Record] = []
    for name in _needing(extractors, "keyframes"):
        records += extractors[name].on_keyframes(keyframes)
    return records, keyframes if "frames" in extractors else ()


def _seen(time_s: float, video: Video) -> float:
    return min(1.0, time_s / video.duration_s) if video.duration_s else 0.0


@dataclass(slots=True)
class _Listening:
    """The passes over a video's sound, one for each modality that needs it. The first also measures the loudness."""

    video: Video
    opened: _Opened
    extractors: Mapping[ModalityName, Extractor]
    report: ProgressCallback
    facts: dict[str, Facet] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _meter: LoudnessMeter | None = None
    _passes: int = 0

    @property
    def duration_s(self) -> float:
        """See ``Sound``."""
        return self.video.duration_s

    def batches(self) -> Iterator[Batch]:
        """The records of what is heard. Damaged sound ends it with a warning."""
        if not self.opened.listens:
            return
        try:
            for name in self.opened.sound:
                for records in self.extractors[name].on_sound(self):
                    yield Batch(records, passed=self._passed(0.0))
            if not self.opened.sound:
                for _ in self.windows(_CHEAP_RATE):
                    pass
            if self._meter is not None:
                lufs = self._meter.lufs
                self.facts |= describe_sound(loudness_lufs=lufs, spoken_s=None, language="", duration_s=0.0)
        except MediaError as error:
            self.warnings.append(f"{UNHEARD}: {error.message}")

    def windows(self, sample_rate: int) -> Iterator[Samples]:
        """See ``Sound``."""
        from indexer.media.read.audio import iter_audio
        from indexer.media.read.loudness import LoudnessMeter

        meter = LoudnessMeter() if self._meter is None else None
        self._meter = self._meter or meter
        heard = 0
        for window in iter_audio(self.video.path, sample_rate, meter=meter):
            yield window
            heard += len(window)
            share = heard / sample_rate / self.duration_s if self.duration_s else 1.0
            self.report(self._passed(min(1.0, share)))
        self._passes += 1

    def _passed(self, share: float) -> float:
        return self.opened.sees + self._passes + share


def _ending(video: Video, extractors: Mapping[ModalityName, Extractor], passed: float) -> Iterator[Batch]:
    for extractor in extractors.values():
        for segments in batches(extractor.on_end(video.duration_s), _SEGMENTS_AT_THE_END):
            yield Batch(extractor.records.of_segments(segments), passed=passed)


def _indexed(
    job: VideoJob,
    opened: _Opened,
    decoded: _Decoded,
    extractors: Mapping[ModalityName, Extractor],
    listening: _Listening,
) -> Indexed:
    texts, corrupt = opened.texts, decoded.corrupt_packets
    maximum, mean = next((found for one in extractors.values() if (found := one.class_probabilities)[0]), ((), ()))
    damage = [f"{corrupt} damaged packets were skipped."] if corrupt else []
    return Indexed(
        video=with_descriptors(decoded.video, listening.facts, *(one.facts for one in extractors.values())),
        shots=decoded.shots if "frames" in job.modalities else 0,
        corrupt_packets=corrupt,
        warnings=(*texts.warnings, *damage, *listening.warnings),
        subtitle_facts=describe_subtitles(texts.cues, language=texts.language, duration_s=decoded.video.duration_s),
        replaced_by_subtitles=opened.replaced,
        listened=opened.listens,
        object_maximum=maximum,
        object_mean=mean,
    )
