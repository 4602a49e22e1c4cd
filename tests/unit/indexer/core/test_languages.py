"""Language tags as files and streams write them."""

from __future__ import annotations

import pytest

from indexer.core.languages import language_code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *(("en", "en"), ("EN ", "en"), ("eng", "en"), ("ger", "de"), ("deu", "de"), ("pt-BR", "pt"), ("zh_Hans", "zh")),
        *(("tl", "tl"), ("tgl", "tl"), ("iw", "he"), ("hi", "hi")),
        *(("fil", ""), ("yue", ""), ("und", ""), ("forced", ""), ("sdh", ""), ("xx", ""), ("", ""), ("x", "")),
    ],
)
def test_a_tag_is_its_two_letter_code_or_nothing(tag: str, code: str) -> None:
    assert language_code(tag) == code
