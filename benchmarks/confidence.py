"""Can a search tell that there is no answer? ``python -m benchmarks.confidence [--data FOLDER] [--final]``.

For each library the queries that have an answer in it and those that have none, and the confidence of what is found
for each. ``at T`` is the default confidence asked for. *rejected*: unanswerable queries with nothing found. *lost*:
answerable ones with nothing found. *right lost*: those whose right video is no longer found but was without a least
confidence. Precision and recall are those of "found something" as a prediction of "has an answer".

The development lists chose the method, its constants and the default, which is, of the thresholds (in hundredths) that
lose at most a tenth of all answerable development queries, the highest: that which rejects most. ``--final`` adds the
lists that chose nothing: ``queries.csv`` and ``unanswerable.csv``. FOLDER is the shared data set; its clips are indexed
as in ``benchmarks.quality``. Its photographs stand for a library of pictures: those of every other class are indexed,
and the sentences about the others have no answer.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from benchmarks.quality import add_spoken_and_played, read_queries, sounds_beside
from indexer.config import load_settings
from indexer.core.types import ModalityName, Record, Video
from indexer.manifest import models_of
from indexer.run import run_indexing
from indexer.store import open_store
from indexer.store.base import Commit, Location, Manifest, ModalityState
from indexer.store.memory import MemoryStore
from search.engine import SearchEngine
from search.query.query import Query
from ui.demo.clips import DEMO_ANSWERS
from ui.demo.library import build_sample_library

LISTS = Path(__file__).parent / "data"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ANY = 1e-9
"""A least confidence that leaves nothing out and has the background measured."""
MOST_LOST = 0.1
"""The share of answerable development queries that the default may lose."""


@dataclass(frozen=True)
class Asked:
    """A query and the ending of the path of its answer's video; empty where there is no answer."""

    text: str
    file: str = ""


@dataclass(frozen=True)
class Answered:
    """What a search found: its best confidence, that of the best moment of the right video, and how that was found."""

    asked: Asked
    best: float
    right: float
    reason: str


def main() -> None:
    """Index the libraries, ask, and print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--profile", default="embedded")
    options.add_argument("--at", type=float, default=load_settings(None, {}).settings.search.min_confidence)
    options.add_argument("--final", action="store_true", help="also the lists that nothing was chosen by")
    options.add_argument("--each", action="store_true", help="one line per query, too")
    options.add_argument("--keep", type=Path, help="a folder to keep the indexes in")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        engines = {
            "media": index_of_media(given.data / "media", folder, given.profile),
            "sample": index_of_sample(folder, given.profile),
        }
        answers = report("photographs, dev", *photographs(given.data / "imagenet-sample", folder / "media"), given)
        for name, engine in engines.items():
            print(f"{name}: {first_time(engine):.1f} s for the bank at first")
            answers += report(f"{name}, dev", engine, development(name), given)
        print(
            "--- all, dev",
            *figures(answers, given.at),
            f"default by the criterion: {chosen(answers):.2f}",
            sep="\n    ",
        )
        if given.final:
            report("media, final", engines["media"], final_of_media(given.data / "media"), given)
            report("sample, final", engines["sample"], final_of_sample(), given)


def index_of_media(media: Path, folder: Path, profile: str) -> SearchEngine:
    """The clips of ``benchmarks.quality``, indexed as there."""
    index = folder / "media"
    if not index.exists():
        library = folder / "spoken"
        add_spoken_and_played(library, media)
        make_index([media, library], index, profile, sounds_beside(media))
    return SearchEngine.open(index)


def index_of_sample(folder: Path, profile: str) -> SearchEngine:
    """The sample library, with speech and on-screen text."""
    index = folder / "sample"
    if not index.exists():
        build_sample_library(folder / "clips")
        make_index([folder / "clips"], index, profile, "")
    return SearchEngine.open(index)


def make_index(paths: Sequence[Path], index: Path, profile: str, sounds: str) -> None:
    flags = {"index.path": str(index), "models.profile": profile, "models.sounds": sounds}
    run_indexing(list(paths), load_settings(None, os.environ, flags))


def first_time(engine: SearchEngine) -> float:
    """Seconds that the first judged search takes beyond a second one, models loaded."""
    engine.search(Query(text="a first query"))
    began = time.perf_counter()
    engine.search(Query(text="a second query", min_confidence=ANY))
    return time.perf_counter() - began


def development(library: str) -> list[Asked]:
    """The development queries about a library, and those that no library here answers."""
    known = [Asked(row["query"], row["file"]) for row in rows("answerable_dev.csv") if row["library"] == library]
    return known + [Asked(row["query"]) for row in rows("unanswerable_dev.csv")]


def final_of_media(media: Path) -> list[Asked]:
    """``queries.csv`` and the final unanswerable queries."""
    known = [Asked(one.query, one.file) for one in read_queries(media / "queries.csv")]
    return known + [Asked(row["query"]) for row in rows("unanswerable.csv")]


def final_of_sample() -> list[Asked]:
    """The demo's queries and the final unanswerable ones."""
    known = [Asked(query, name) for query, (name, _, _) in DEMO_ANSWERS.items()]
    return known + [Asked(row["query"]) for row in rows("unanswerable.csv")]


def photographs(folder: Path, models_from: Path) -> tuple[SearchEngine, list[Asked]]:
    """An index of the photographs of every other class, and sentences about all of them."""
    manifest = open_store(models_from).read_manifest()
    assert manifest is not None
    models = models_of(manifest, roles=())
    paths = {path.stem.split("_", 1)[1]: path for path in sorted(folder.glob("*.JPEG"))}
    held = dict(list(paths.items())[::2])
    store = MemoryStore()
    store.write_manifest(Manifest(manifest.profile, manifest.models, manifest.created_at))
    for label, path in held.items():
        with Image.open(path) as picture:
            vector = models.frames.encode_images([np.asarray(picture.convert("RGB"))])[0]
        store.upsert([Record(f"{label}/frames/0", label, "frames", "frames", 0.0, 1.0, 0.5, vector, shot=0)])
        video = Video(label, Path(f"/photographs/{label}"), 1, 0, 1.0, None, 64, 64, False)
        counts: dict[ModalityName, ModalityState] = {"frames": ModalityState("", 1)}
        store.write_commit(Commit(video, "committed", (Location(video.path, video.path, 1, 0),), counts))
    known = [Asked(row["query"], row["label"] if row["label"] in held else "") for row in rows("photographs.csv")]
    nonsense = [Asked(row["query"]) for row in rows("unanswerable_dev.csv") if row["kind"] == "nonsense"]
    return SearchEngine(store, lambda: models), known + nonsense


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a list."""
    with (LISTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def report(name: str, engine: SearchEngine, queries: Sequence[Asked], given: argparse.Namespace) -> list[Answered]:
    """Print the figures of one library; its answers."""
    answers = [answered(engine, asked) for asked in queries]
    if given.each:
        for one in sorted(answers, key=lambda one: -one.best):
            print(
                f"    {'+' if one.asked.file else '-'} {one.best:.2f} {one.right:.2f} {one.asked.text:50} {one.reason}"
            )
    print(f"--- {name}", *figures(answers, given.at), sep="\n    ")
    return answers


def answered(engine: SearchEngine, asked: Asked) -> Answered:
    """Ask without a least confidence."""
    moments = engine.search(Query(text=asked.text, top_k=20, min_confidence=ANY)).moments
    right = [one for one in moments if asked.file and one.video.path.as_posix().endswith(asked.file)]
    best = max(moments, key=lambda one: one.confidence or 0.0, default=None)
    hit = min(best.hits, key=lambda one: one.false_alarm_rate or 1.0) if best else None
    reason = (
        f"{best.video.path.name} {hit.modality} {hit.score:.2f} {hit.lexical:.2f} {hit.text[:40]}"
        if best and hit
        else ""
    )
    confidences = [one.confidence or 0.0 for one in right]
    return Answered(asked, (best.confidence or 0.0) if best else 0.0, max(confidences, default=0.0), reason)


def chosen(answers: Sequence[Answered]) -> float:
    """The default by the criterion: the highest hundredth at which at most ``MOST_LOST`` are lost."""
    known = np.array([one.best for one in answers if one.asked.file])
    return max(at / 100 for at in range(100) if np.mean(known < at / 100) <= MOST_LOST)


def figures(answers: Sequence[Answered], least: float) -> Iterator[str]:
    """The lines of one library."""
    known = np.array([one.best for one in answers if one.asked.file])
    right = np.array([one.right for one in answers if one.asked.file])
    unknown = np.array([one.best for one in answers if not one.asked.file])
    auc = roc_auc_score([1] * len(known) + [0] * len(unknown), [*known, *unknown])
    yield f"{len(known)} answerable, {len(unknown)} unanswerable, ROC AUC {auc:.3f}"
    for at in (least, float(np.quantile(known, 0.1))):
        found, alarms = int((known >= at).sum()), int((unknown >= at).sum())
        precision = found / (found + alarms) if found + alarms else 1.0
        yield (
            f"at {at:.2f}: rejected {1 - alarms / len(unknown):.2f}, lost {1 - found / len(known):.2f}, "
            f"right lost {np.mean((right > 0) & (right < at)):.2f}, precision {precision:.2f}, "
            f"recall {found / len(known):.2f}"
        )


if __name__ == "__main__":
    main()
