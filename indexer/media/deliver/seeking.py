"""Finding the codec keyframe to begin at, and reading on from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from indexer.media.read.container import first_frame_s, read_packets, time_base_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

SAME_S = Fraction(1, 1000)
"""Times this close are equal: requested times are binary fractions, and containers round."""

# A file without an index is sought by its time stamps, and may be entered behind the wanted keyframe.
_STEPS_BACK_S = (0, 1, 2, 5, 10, 30, 120)
_BEFORE_ALL_S = 60


@dataclass(frozen=True, slots=True)
class Landing:
    """A codec keyframe, and how to reach it again.

    Attributes:
        seek_to: The stamp to seek to, in the stream's ticks; None reads from the file's beginning.
        stamp: The keyframe's own stamp.
        time_s: The keyframe's time in seconds from the first frame of the file; may be below 0 for sound.
    """

    seek_to: int | None
    stamp: int
    time_s: Fraction


def stamp_of(container: InputContainer, packet: Packet[Stream]) -> int | None:
    """When a packet is shown, in ticks; for AVI, which does not store that, when it is decoded."""
    return packet.dts if container.format.name == "avi" else packet.pts


def says_when_shown(container: InputContainer, stream: Stream) -> bool:
    """Whether packets can be copied: AVI does not store the display order of frames that depend on later ones."""
    return container.format.name != "avi" or not getattr(stream.codec_context, "has_b_frames", False)


def find_keyframe(container: InputContainer, stream: Stream, at_s: Fraction) -> Landing | None:
    """The last codec keyframe at or before a time in seconds, else the first one; None if the stream has none.

    Leaves the file at any place: continue with ``read_from``.
    """
    time_base = time_base_of(stream)
    origin_s = first_frame_s(container)
    wanted = math.floor((origin_s + at_s + SAME_S) / time_base)
    for seek_to in _places(wanted, stream, time_base):
        stamp = _last_keyframe(container, stream, seek_to, wanted)
        if stamp is not None and (stamp <= wanted or seek_to is None):
            return Landing(seek_to, stamp, stamp * time_base - origin_s)
    return None


def _places(wanted: int, stream: Stream, time_base: Fraction) -> Iterator[int | None]:
    """Where to seek, from the nearest place to the file's beginning."""
    first = stream.start_time or 0
    for back_s in _STEPS_BACK_S:
        if (place := wanted - round(back_s / time_base)) > first:
            yield place
    yield None


def _last_keyframe(container: InputContainer, stream: Stream, seek_to: int | None, wanted: int) -> int | None:
    """The stamp of the last keyframe up to ``wanted``, else of the first one after it."""
    found = None
    for packet in _packets(container, stream, seek_to):
        stamp = stamp_of(container, packet)
        if stamp is not None and packet.is_keyframe and not packet.is_corrupt and (found is None or stamp <= wanted):
            found = stamp
        if found is not None and packet.dts is not None and packet.dts > wanted:
            break
    return found


def read_from(container: InputContainer, stream: Stream, landing: Landing | None) -> Iterator[Packet[Stream]]:
    """The packets of a stream from a keyframe on, damaged ones included; from the file's beginning if None."""
    has_begun = landing is None
    for packet in _packets(container, stream, landing.seek_to if landing else None):
        has_begun = has_begun or (landing is not None and stamp_of(container, packet) == landing.stamp)
        if has_begun:
            yield packet


def _packets(container: InputContainer, stream: Stream, seek_to: int | None) -> Iterator[Packet[Stream]]:
    if seek_to is None:
        _rewind(container, stream)
    else:
        # A file that cannot be sought is read from the beginning, up to the same place each time.
        try:
            container.seek(seek_to, stream=stream)
        except av.FFmpegError:
            _rewind(container, stream)
    return read_packets(container, stream)


def _rewind(container: InputContainer, stream: Stream) -> None:
    """Seek to the first packet, as far as the format allows it."""
    start = stream.start_time or 0
    # Well before the first picture, because its stamp is its display time and files are sought by decoding time. Some
    # formats refuse to seek to before their first packet.
    for place in (start - round(_BEFORE_ALL_S / time_base_of(stream)), start, 0):
        try:
            container.seek(place, stream=stream)
        except av.FFmpegError:
            continue
        return
