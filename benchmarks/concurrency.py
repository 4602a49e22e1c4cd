"""Many people searching one library at the same time. ``python -m benchmarks.concurrency INDEX``.

INDEX is any index, such as ``demo/chroma_db``. Every query is asked once only, so that no answer comes from memory. Two
kinds of crowd: one whose members search again the moment they are answered, which no machine can serve at the speed of
a single search with fewer cores than people, and one whose members look at each answer for two seconds.

The last line says what the first crowd could have at best: the processor time of its searches, spread over all cores.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from search.engine import SearchEngine

PEOPLE = 20
SEARCHES = 10
LOOKING_S = 2.0
WORDS = ("red", "old", "car", "sea", "man", "dog", "tree", "song", "night", "bread", "chair", "rain", "train", "letter")


def queries() -> Iterator[str]:
    """Four words each, never the same ones twice."""
    yield from (" ".join(words) for words in itertools.permutations(WORDS, 4))


def timed(engine: SearchEngine, text: str) -> float:
    """How long one search takes, in seconds."""
    began = time.perf_counter()
    engine.search(text)
    return time.perf_counter() - began


def crowd(people: int, each: Callable[[], None]) -> None:
    """All of them at once."""
    threads = [threading.Thread(target=each) for _ in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Search alone, then in both kinds of crowd, and print the times with their ratios to the single search."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("index", type=Path)
    given = options.parse_args()
    asked = queries()
    with SearchEngine.open(given.index) as engine:
        for _ in range(20):
            timed(engine, next(asked))
        alone = [timed(engine, next(asked)) for _ in range(100)]
        at_once: list[float] = []
        looking: list[float] = []

        def without_rest() -> None:
            at_once.extend([timed(engine, next(asked)) for _ in range(SEARCHES)])

        def with_rest() -> None:
            for _ in range(SEARCHES):
                time.sleep(random.uniform(0, 2 * LOOKING_S))  # noqa: S311 - no secret
                looking.append(timed(engine, next(asked)))

        busy_s = time.process_time()
        crowd(PEOPLE, without_rest)
        busy_s = (time.process_time() - busy_s) / len(at_once)
        crowd(PEOPLE, with_rest)
    single = float(np.percentile(alone, 95))
    print(f"{'':32}{'median':>10}{'p95':>10}{'p95 / single':>14}")
    for name, times in (
        ("one person", alone),
        (f"{PEOPLE} people, {LOOKING_S:.0f} s between searches", looking),
        (f"{PEOPLE} people without a pause", at_once),
    ):
        p95 = float(np.percentile(times, 95))
        print(f"{name:32}{1000 * np.median(times):>8.0f}ms{1000 * p95:>8.0f}ms{p95 / single:>14.1f}")
    least = PEOPLE * busy_s / (os.cpu_count() or 1)
    print(f"{1000 * busy_s:.1f} ms of processor time for each: at least {1000 * least:.0f} ms, {least / single:.1f} x")


if __name__ == "__main__":
    main()
