"""Cuts a clip out of a file, without encoding it again where its codecs allow."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import av

from indexer.core.atomic_file import written_whole
from indexer.core.errors import MediaError, UsageError
from indexer.media.deliver.seeking import SAME_S, find_keyframe, read_from, says_when_shown, stamp_of
from indexer.media.deliver.tracks import COPY, ENCODE, Encoding, Handling, Source, interleaved, open_tracks
from indexer.media.deliver.write import FORMATS
from indexer.media.read.container import (
    best_picture_stream,
    best_sound_stream,
    first_frame_s,
    main_streams,
    open_media,
    time_base_of,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

# Not FLAC: its frames are numbered from the recording's first.
_SUFFIXES = frozenset({".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".ogg", ".wav", ".webm"})
_SOUND_ONLY = frozenset({".m4a", ".mka", ".mp3", ".ogg", ".wav"})
# Formats tried next: MP4 plays everywhere, Matroska takes nearly every codec.
_FALLBACK = (".mp4", ".mkv")
_FALLBACK_SOUND = (".m4a", ".mka")
# Readers recognise an MP3 file by this many packets.
_LEAST_MP3_PACKETS = 3
_WIDER_S = Fraction(1, 4)
_KEPT = Encoding(preset="veryfast", crf=18, largest=None, sound_bitrate=192_000)


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip that was cut out.

    Attributes:
        path: The new file.
        start_s: Where it begins, in seconds of the video. Copied pictures begin at a codec keyframe and copied sound
            alone at a packet, so this may be earlier than requested.
        end_s: Where it ends; a copy may hold some more frames than requested.
        is_encoded: Whether its pictures or its sound were encoded again.
    """

    path: Path
    start_s: float
    end_s: float
    is_encoded: bool


def suffix_of_cut(path: Path) -> str:
    """The suffix of the best file format for a clip of this file, such as ``.mp4``.

    That is the file's own format if it can be written, otherwise MP4 or Matroska, whichever can hold a copy.

    Raises:
        UnreadableMediaError: the file cannot be opened, or has nothing that can be decoded.
    """
    with open_media(path) as container:
        has_picture = main_streams(path, container)[0] is not None
        own = path.suffix.lower()
        others = _FALLBACK if has_picture else _FALLBACK_SOUND
        is_writable = own in _SUFFIXES and has_picture != (own in _SOUND_ONLY) and _has_format_of(container, own)
        tried = (own, *others) if is_writable else others
        fitting = (suffix for suffix in tried if ENCODE not in _handling(container, suffix))
        return next(fitting, others[0])


@dataclass(frozen=True, slots=True)
class _Written:
    """How many packets were written, and the end of the last one, in seconds from the clip's start."""

    packets: int
    until_s: Fraction


def cut_clip(path: Path, start_s: float, end_s: float, out: Path, *, exact: bool = False) -> Cut:
    """Cut ``[start_s, end_s)`` into a new file, which appears under its name once it is complete.

    Packets are copied from the codec keyframe at or before the start. Streams that the new format cannot hold are
    encoded as H.264 and AAC, exactly from the start. An ``.mp3`` of one or two packets, which players cannot open, gets
    some more from around it.

    Args:
        path: The video.
        start_s: In seconds from its first frame.
        end_s: Likewise; may lie beyond the video's end.
        out: The new file; its suffix selects the format (see ``suffix_of_cut``). An existing file is replaced.
        exact: Encode the pictures even if they could be copied, so that the clip begins exactly at ``start_s``.

    Raises:
        UsageError: the span is empty, endless or behind the video's end, or the suffix of ``out`` is not supported.
        UnreadableMediaError: the video cannot be opened or decoded.
        MediaError: the clip cannot be written.
    """
    if not 0 <= start_s < end_s < math.inf:
        raise UsageError(f"A clip cannot go from {start_s} s to {end_s} s.", hint="Its end must come after its start.")
    source = _source(path, out.suffix.lower(), exact)
    try:
        with written_whole(out) as unfinished:
            begin_s, until_s = _written(source, (Fraction(start_s), Fraction(end_s)), unfinished, out.suffix.lower())
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, (MediaError, UsageError)):
            raise
        raise MediaError(f"{out} cannot be written: {error}.") from error
    return Cut(out, float(begin_s), float(until_s), ENCODE in (source.picture, source.sound))


def _written(source: Source, asked: tuple[Fraction, Fraction], path: Path, suffix: str) -> tuple[Fraction, Fraction]:
    """Write a clip; returns its true start and end, in seconds of the video.

    Raises:
        UsageError: nothing is shown at or after the start.
    """
    (start_s, end_s), begin_s = asked, source.start_s(asked[0])
    length = _write(source, (begin_s, end_s), path, FORMATS[suffix])
    if not length.packets or (begin_s + length.until_s <= start_s + SAME_S and not _goes_on(source, start_s)):
        raise UsageError(
            f"There is nothing to cut out at {float(start_s)} s.",
            hint="The video has ended: ask for an earlier second.",
        )
    if suffix == ".mp3" and length.packets < _LEAST_MP3_PACKETS:
        begin_s = source.start_s(max(Fraction(0), begin_s - _WIDER_S))
        length = _write(source, (begin_s, end_s + _WIDER_S), path, FORMATS[suffix])
    return begin_s, begin_s + length.until_s


def _write(source: Source, span: tuple[Fraction, Fraction], path: Path, format_: str) -> _Written:
    options = {"movflags": "faststart"} if format_ in ("mp4", "mov", "ipod") else {}
    packets, length_s = 0, Fraction(0)
    with ExitStack() as opened:
        out = opened.enter_context(av.open(str(path.absolute()), "w", format=format_, container_options=options))
        for until_s in interleaved(open_tracks(source, span, out, _KEPT, opened), out):
            packets, length_s = packets + 1, max(length_s, until_s)
    return _Written(packets, length_s)


def _goes_on(source: Source, start_s: Fraction) -> bool:
    """Whether a picture follows at or after a time: then the one before it is shown until then."""
    if source.picture == "none":
        return False
    with open_media(source.path) as container:
        stream = best_picture_stream(container)
        if stream is None:
            return False
        first_s, time_base = first_frame_s(container), time_base_of(stream)
        packets = read_from(container, stream, find_keyframe(container, stream, start_s))
        stamps = (stamp_of(container, packet) for packet in packets)
        return any(stamp is not None and stamp * time_base - first_s >= start_s - SAME_S for stamp in stamps)


def _source(path: Path, suffix: str, exact: bool) -> Source:
    if suffix not in _SUFFIXES:
        raise UsageError(f"Clips cannot be written as {suffix or 'a file without a suffix'}.", hint="Try .mp4 or .mkv.")
    with open_media(path) as container:
        main_streams(path, container)
        picture, sound = _handling(container, suffix)
        return Source(path, ENCODE if exact and picture == COPY else picture, sound)


def _has_format_of(container: InputContainer, suffix: str) -> bool:
    written = {"ipod": "m4a", "matroska": "matroska", "webm": "webm"}.get(FORMATS[suffix], FORMATS[suffix])
    return written in container.format.name.split(",")


def _handling(container: InputContainer, suffix: str) -> tuple[Handling, Handling]:
    picture = None if suffix in _SOUND_ONLY else best_picture_stream(container)
    held = _held_by(FORMATS[suffix])
    return _of_stream(container, picture, held), _of_stream(container, best_sound_stream(container), held)


def _of_stream(container: InputContainer, stream: Stream | None, held: frozenset[str]) -> Handling:
    if stream is None:
        return "none"
    is_held = stream.codec_context.codec.canonical_name in held
    return COPY if is_held and says_when_shown(container, stream) else ENCODE


def _held_by(format_: str) -> frozenset[str]:
    with av.open(BytesIO(), "w", format=format_) as container:
        return frozenset(container.supported_codecs)
