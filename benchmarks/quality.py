"""Known-item search and recognition on real clips. ``python -m benchmarks.quality [MEDIA] [--sounds MODEL]``.

MEDIA is a folder of clips with a ``queries.csv`` (query, file, start_s, end_s). A moment counts if it is of the right
file and starts inside the window, a second of slack on either side. ``on_screen_text.csv`` beside this file holds
further queries for what is written in two of the clips. Speech is measured by its word error rate on ``jfk.flac``,
sounds by the classes that score highest over the whole of one clip of speech and one of a saxophone. Then the
self-test: what a library of these clips and the sample library can expect, without any of the queries above.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import jiwer
import numpy as np

from benchmarks.actions import print_action_tables
from indexer.config import load_settings
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
from indexer.media.read.audio import read_audio
from indexer.modalities.registry import all_roles
from indexer.models.base import Tag
from indexer.models.build import build_models
from indexer.models.profiles import PROFILES, ModelChoice, parse_choice
from indexer.models.yamnet import WINDOW, YamnetEncoder
from indexer.run import run_indexing
from indexer.store import open_store
from indexer.store.base import VectorStore
from search.engine import SearchEngine
from search.evaluate.runs import RetrievalOptions
from search.evaluate.self_test import run_self_test
from search.moments import Moment
from search.query.query import Query
from ui.cli.console import answer_console
from ui.cli.evaluate_tables import print_self_test
from ui.demo.library import build_sample_library
from ui.services.context import Flags

SLACK_S = 1.0
SPEECH = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
DATA = Path(__file__).parent / "data"
GRADIO = find_spec("gradio")
SAXOPHONE = Path(str(GRADIO.origin)).parent / "media_assets" / "audio" / "sax.wav" if GRADIO else Path("sax.wav")
DEFAULT_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "data" / "media"


@dataclass(frozen=True)
class KnownMoment:
    """A query and the only moment that answers it."""

    query: str
    file: str
    start_s: float
    end_s: float

    def is_of(self, moment: Moment) -> bool:
        """Whether a moment is of the right video."""
        return moment.video.path.as_posix().endswith(self.file)

    def is_it(self, moment: Moment) -> bool:
        """Whether a moment is of the right video and begins in the window."""
        return self.is_of(moment) and self.start_s - SLACK_S <= moment.start_s <= self.end_s + SLACK_S


def read_queries(path: Path) -> list[KnownMoment]:
    """The rows of a ``queries.csv``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            KnownMoment(row["query"], row["file"], float(row["start_s"]), float(row["end_s"]))
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Index the media with the embedded profile in a temporary folder, search, and print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("media", type=Path, nargs="?", default=DEFAULT_MEDIA)
    options.add_argument("--profile", default="embedded")
    options.add_argument("--strategy", default="shots")
    options.add_argument("--sounds", default="", help="such as yamnet:/path/yamnet.tflite")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library, index = Path(folder) / "library", Path(folder) / "index"
        more = add_spoken_and_played(library, given.media)
        sounds = given.sounds or sounds_beside(given.media)
        flags = {
            "index.path": str(index),
            "models.profile": given.profile,
            "shots.strategy": given.strategy,
            "models.sounds": sounds,
        }
        report = run_indexing([given.media, library], load_settings(None, os.environ, flags))
        print(f"{len(report.indexed)} videos, {report.frames} frames, {report.segments} texts\n")
        with SearchEngine.open(index) as engine:
            for name, known in (
                ("queries.csv", read_queries(given.media / "queries.csv")),
                ("what is written", read_queries(DATA / "on_screen_text.csv")),
                ("what is said and heard", more),
            ):
                print(f"--- {name}")
                print("\n".join(table(engine, known)), "\n")
        print("\n".join(recognition(open_store(index), yamnet(sounds))))
        test_itself(Path(folder), given.media, {**flags, "index.path": str(Path(folder) / "larger")})
        print()
        print_action_tables(given.media.parent, given.profile)


def test_itself(folder: Path, media: Path, flags: Flags) -> None:
    """Index the clips and the sample library, which has more texts, and print what the self-test says of them."""
    index = Path(str(flags["index.path"]))
    build_sample_library(folder / "sample")
    run_indexing([media, folder / "sample"], load_settings(None, os.environ, flags))
    print("\n--- self-test")
    with SearchEngine.open(index) as engine, closing(open_store(index)) as store:
        report = run_self_test(engine, store, options=RetrievalOptions(), out=folder / "self-test")
    print_self_test(answer_console(), report)


def add_spoken_and_played(library: Path, media: Path) -> list[KnownMoment]:
    """A still picture with the speech of jfk.flac, and Gradio's saxophone; and what is asked about them."""
    library.mkdir()
    speech = read_audio(media / "jfk.flac", 16_000)
    still = np.full((180, 320, 3), 90, dtype=np.uint8)
    write_clip(
        library / "speech.mp4", [still] * 11, options=ClipOptions(rate=Fraction(1), audio=AudioTrack(speech, 16_000))
    )
    shutil.copy(SAXOPHONE, library / "sax.wav")
    return [
        KnownMoment("what you can do for your country", "speech.mp4", 7.0, 10.6),
        KnownMoment("ask not what your country can do for you", "speech.mp4", 3.0, 7.6),
        KnownMoment("saxophone music", "sax.wav", 0.0, 60.0),
        KnownMoment("people speaking", "speech.mp4", 0.0, 11.0),
    ]


def sounds_beside(media: Path) -> str:
    """YAMNet where the shared data has it; off otherwise."""
    file = media.parent / "yamnet" / "yamnet.tflite"
    return f"yamnet:{file}" if file.is_file() else "off"


def yamnet(spec: str) -> YamnetEncoder | None:
    """The model of sounds that ``spec`` names; None if it is off or one that knows no classes."""
    if not spec.startswith("yamnet:"):
        return None
    embedded = PROFILES["embedded"].choices
    choices: dict[str, ModelChoice] = {
        "frames": embedded["frames"],
        "text": embedded["text"],
        "sounds": parse_choice(all_roles()["sounds"], spec),
    }
    sounds = build_models(choices, all_roles()).sounds
    return sounds if isinstance(sounds, YamnetEncoder) else None


def best_classes(encoder: YamnetEncoder, path: Path, most: int = 5) -> list[Tag]:
    """The classes with the highest mean score over all windows of a file's sound, best first."""
    sound = read_audio(path, encoder.sample_rate)
    windows = [sound[start : start + WINDOW] for start in range(0, len(sound), WINDOW)]
    means = encoder.class_scores(windows).mean(axis=0)
    best = np.argsort(-means, kind="stable")[:most]
    return [Tag(encoder.class_names[index], float(means[index])) for index in best]


def recognition(store: VectorStore, encoder: YamnetEncoder | None) -> Iterator[str]:
    """Word error rate of speech, speech found where there is none, and the likeliest sounds of two clips."""
    paths = {key: commit.video.path for key, commit in store.commits().items()}
    names = {key: path.name for key, path in paths.items()}
    texts = sorted(store.records("text"), key=lambda record: record.start_s)
    spoken = [record for record in texts if record.modality == "speech"]
    heard = " ".join(record.text for record in spoken if names[record.video_id] == "speech.mp4").lower()
    yield f"--- speech.mp4: word error rate {jiwer.wer(SPEECH, heard):.2f}: {heard}"
    for key, name in sorted(names.items(), key=lambda pair: pair[1]):
        count = sum(record.video_id == key for record in spoken)
        if count and name not in ("speech.mp4", "jfk.flac"):
            yield f"    {name}: {count} segments of speech"
    for path in sorted(path for path in paths.values() if path.name in ("sax.wav", "speech.mp4")):
        if encoder is not None:
            best = [f"{tag.label} {tag.score:.2f}" for tag in best_classes(encoder, path)]
            yield f"--- {path.name}: {'; '.join(best)}"


def table(engine: SearchEngine, known: Sequence[KnownMoment]) -> Iterator[str]:
    """One line per query with its ranks, then the shares of queries answered."""
    ranks = [(ranks_of(engine, moment), moment) for moment in known]
    yield f"{'query':52} {'file':38} video moment"
    for (by_video, by_moment), moment in ranks:
        yield f"{moment.query:52} {moment.file:38} {by_video or '-':>5} {by_moment or '-':>6}"
    yield ""
    yield f"{'':20} {'hit@1':>6} {'hit@3':>6}"
    for name, place in (("by video", 0), ("by moment", 1)):
        found = [pair[place] for pair, _ in ranks]
        yield f"{name:20} {share(found, 1):6.2f} {share(found, 3):6.2f}"


def ranks_of(engine: SearchEngine, known: KnownMoment) -> tuple[int, int]:
    """The rank of the right video among videos and of the right moment among moments; 0 if not among the first 20."""
    videos = engine.search(Query(text=known.query, top_k=20, group_by_video=True)).moments
    moments = engine.search(Query(text=known.query, top_k=20)).moments
    by_video = next((rank for rank, moment in enumerate(videos, 1) if known.is_of(moment)), 0)
    return by_video, next((rank for rank, moment in enumerate(moments, 1) if known.is_it(moment)), 0)


def share(ranks: Sequence[int], depth: int) -> float:
    """The share of queries answered within ``depth``."""
    return sum(0 < rank <= depth for rank in ranks) / len(ranks)


if __name__ == "__main__":
    main()
