from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer.models.sentence import SentenceEncoder
from indexer.models.vector_cache import cached_documents

TEXTS = ["a cat", "a dog"]


def test_kept_vectors_are_read_back_without_the_model(sentence_folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(sentence_folder), device="cpu")
    first = cached_documents(TEXTS, encoder, tmp_path)
    assert np.array_equal(first, encoder.encode_documents(TEXTS))
    other = SentenceEncoder(str(sentence_folder), device="cpu")
    assert np.array_equal(cached_documents(TEXTS, other, tmp_path), first)
    assert not other.loaded


def test_other_texts_are_not_mixed_up(sentence_folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(sentence_folder), device="cpu")
    assert not np.array_equal(
        cached_documents(TEXTS, encoder, tmp_path), cached_documents(TEXTS[::-1], encoder, tmp_path)
    )
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_is_made_anew(sentence_folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(sentence_folder), device="cpu")
    good = cached_documents(TEXTS, encoder, tmp_path)
    (path,) = tmp_path.iterdir()
    for damage in (b"", b"no array", path.read_bytes()[:-9]):
        path.write_bytes(damage)
        assert np.array_equal(cached_documents(TEXTS, encoder, tmp_path), good)
    np.save(path, np.full_like(good, np.nan))
    assert np.array_equal(cached_documents(TEXTS, encoder, tmp_path), good)


def test_a_folder_that_cannot_be_written_is_no_obstacle(sentence_folder: Path, tmp_path: Path) -> None:
    encoder = SentenceEncoder(str(sentence_folder), device="cpu")
    (tmp_path / "file").write_text("in the way")
    assert cached_documents(TEXTS, encoder, tmp_path / "file" / "folder").shape == (2, 32)
