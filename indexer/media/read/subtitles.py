"""Subtitles from beside or inside a video, as plain text on the clock of the video's frames."""

from __future__ import annotations

import codecs
import html
import re
import warnings
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
from av.subtitles.subtitle import AssSubtitle

from indexer.core.errors import SubtitleError, UnreadableMediaError
from indexer.core.types import Cue
from indexer.media.read.container import first_frame_s, open_media, read_packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

# How long a cue is shown if its end is missing or not after its start, unless the next cue comes first.
_READING_S = 2.0
_SHORTEST_S = 0.1
_LARGEST_BYTES = 64 * 2**20
_FORMATS = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COMMONEST = "cp1252"
# A tag as in <i>, </font>, <v Ann>, <c.loud> or <00:01.500>; not the "<" of "a < b".
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


class _Line(NamedTuple):
    start_s: float
    end_s: float
    text: str


def read_sidecar(path: Path) -> list[Cue]:
    """Read a subtitle file: SubRip, WebVTT, SubStation Alpha and other formats that pysubs2 recognises.

    UTF-8 and UTF-16 are recognised, other encodings are guessed. Each cue's text is one line without markup. Cues come
    in order of start and may overlap. Cues without text are left out; cues that end before they begin get a reading
    time.

    Raises:
        SubtitleError: the file cannot be read, or holds no timed text.
    """
    text = _decoded(path, _contents(path))
    if not text.strip() or text.strip() == "WEBVTT":
        return []
    return _cues(_parsed(path, text))


def _contents(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SubtitleError(f"{path} is too large to be a subtitle file.")
        return path.read_bytes()
    except OSError as error:
        raise SubtitleError(f"The subtitles {path} cannot be read: {error.strerror or error}.") from error


def _decoded(path: Path, data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _guessed(path, data)


def _guessed(path: Path, data: bytes) -> str:
    import charset_normalizer

    matches = charset_normalizer.from_bytes(data)
    best = matches.best()
    if best is None:
        raise SubtitleError(f"The subtitles {path} are not text in any known encoding.", hint="Save them as UTF-8.")
    # Central European and Western text often get equal scores; charset_normalizer orders those by name.
    equals = [match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    return str(next((match for match in equals if match.encoding == _COMMONEST), best))


def _parsed(path: Path, text: str) -> list[_Line]:
    """The lines in the format that the suffix names, else in the format that pysubs2 detects."""
    reason: Exception | None = None
    silent: list[_Line] = []
    for format_ in (_FORMATS.get(path.suffix.lower()), None):
        try:
            lines = _lines_of(text, format_)
        except Exception as error:  # noqa: BLE001 - the parsers raise errors of many kinds
            reason = error
            continue
        if any(line.text for line in lines):
            return lines
        silent = silent or lines
    if not silent:
        raise SubtitleError(f"The subtitles {path} hold no timed lines that can be read.") from reason
    return silent


def _lines_of(text: str, format_: str | None) -> list[_Line]:
    from pysubs2 import SSAFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pysubs2 warns about each malformed field
        events = SSAFile.from_string(text, format_=format_).events
    return [_Line(event.start / 1000, event.end / 1000, event.plaintext if event.is_text else "") for event in events]


def read_embedded(path: Path, stream_index: int) -> list[Cue]:
    """Read a text subtitle stream of a video, as listed in ``probe(path).text_subtitle_streams``.

    Cues are as from ``read_sidecar``; those that end before the first frame are left out.

    Raises:
        SubtitleError: there is no such stream, it holds no text, or the file cannot be read.
    """
    try:
        with open_media(path) as container:
            stream = _subtitle_stream(path, container.streams.subtitles, stream_index)
            return _cues(_embedded_lines(container, stream))
    except UnreadableMediaError as error:
        raise SubtitleError(error.message, hint=error.hint) from error


def _subtitle_stream(path: Path, streams: Iterable[SubtitleStream], index: int) -> SubtitleStream:
    for stream in streams:
        if stream.index == index and stream.codec_context is not None and stream.codec_context.codec.text_sub:
            return stream
    raise SubtitleError(f"{path} has no text subtitles in stream {index}.")


def _embedded_lines(container: InputContainer, stream: SubtitleStream) -> Iterator[_Line]:
    origin_s = first_frame_s(container)
    for packet in read_packets(container, stream):
        if packet.pts is None:
            continue
        start_s = float(packet.pts * packet.time_base - origin_s)
        end_s = start_s + float((packet.duration or 0) * packet.time_base)
        for text in _texts(stream, packet):
            yield _Line(start_s, end_s, text)


def _texts(stream: SubtitleStream, packet: Packet[Stream]) -> Iterator[str]:
    """A packet's lines without markup; none of a damaged packet."""
    from pysubs2 import SSAEvent

    try:
        shown = stream.decode(packet)
    except av.FFmpegError:
        return
    for subtitle in shown:
        if isinstance(subtitle, AssSubtitle):
            # Eight fields come before the text: ReadOrder, Layer, Style, Name, three margins and Effect.
            event = SSAEvent(text=subtitle.ass.decode(errors="replace").split(",", 8)[-1])
            yield event.plaintext if event.is_text else ""


def _cues(lines: Iterable[_Line]) -> list[Cue]:
    """Cleaned lines in order, each longer than zero, none from before the first frame."""
    ordered = sorted(line._replace(text=_plain(line.text)) for line in lines)
    spoken = [line for line in ordered if line.text]
    following = [*(line.start_s for line in spoken[1:]), inf]
    cues = [line._replace(end_s=_end_s(line, next_s)) for line, next_s in zip(spoken, following, strict=False)]
    return [Cue(max(0.0, cue.start_s), cue.end_s, cue.text) for cue in cues if cue.end_s > 0]


def _end_s(line: _Line, next_s: float) -> float:
    if line.end_s > line.start_s:
        return line.end_s
    return min(line.start_s + _READING_S, max(next_s, line.start_s + _SHORTEST_S))


def _plain(text: str) -> str:
    untagged = html.unescape(_TAG.sub("", text))
    return " ".join(_INVISIBLE.sub("", untagged).split())
