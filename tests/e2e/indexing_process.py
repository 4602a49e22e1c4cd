"""One indexing run as a process of its own, with tiny models: ``python -m tests.e2e.indexing_process FILMS INDEX``."""

from __future__ import annotations

import sys
from pathlib import Path

from indexer.corpus.find import find_corpus
from indexer.corpus.labels import Labels
from indexer.media.read.probe import looks_like_media
from indexer.models.base import Models
from indexer.progress import Progress
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store import open_store
from indexer.store.lock import writing
from indexer.store.thumbnails import ThumbnailFolder
from indexer.video import VideoSettings
from tests.encoders import ColourEncoder, WordEncoder


def tell(progress: Progress) -> None:
    """One line per step, so that the test knows how far the run is."""
    sys.stdout.write(f"{progress.videos_done} {progress.bytes_done}\n")
    sys.stdout.flush()


def main(films: Path, index: Path) -> None:
    """Bring the index in line with the films."""
    frames, text = ColourEncoder(), WordEncoder()
    prints = {"frames": frames.fingerprint.digest, "subtitle": text.fingerprint.digest}
    settings = VideoSettings(Sampling(), batch_size=1)
    with writing(index):
        store = open_store(index, create=True)
        corpus = find_corpus([films], looks_like_media=looks_like_media)
        indexer = Indexer(store, Models(frames, text), ThumbnailFolder(index), settings, prints)
        index_corpus(corpus, Labels(), indexer, report_progress=tell)
        store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
