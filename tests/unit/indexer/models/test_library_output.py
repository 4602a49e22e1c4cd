"""Models at work in a process of their own, all of the libraries imported anew: nothing is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.indexer.models import tiny

WORK = """
from pathlib import Path
import numpy as np
from indexer.models.blip import BlipCaptioner
from indexer.models.concepts import ConceptsEncoder
from indexer.models.open_clip import OpenClipEncoder
from indexer.models.sentence import SentenceEncoder
captioner = BlipCaptioner({blip!r}, device="cpu")
assert len(captioner.describe([np.zeros((30, 40, 3), np.uint8)] * 3)) == 3
text = SentenceEncoder({text!r}, device="cpu")
text.encode_documents(["long text. " * 500])
concepts = ConceptsEncoder(text, device="cpu", cache_folder=Path({cache!r}))
for model in [concepts, *(OpenClipEncoder(name, device="cpu") for name in {clips!r})]:
    model.encode_images([np.zeros((9, 9, 3), np.uint8)])
    model.encode_texts(["long text. " * 500])
"""


def test_loading_encoding_and_describing_write_nothing(
    blip_folder: Path, clip_folder: Path, sentence_folder: Path, tmp_path: Path
) -> None:
    siglip = tiny.save_clip_with_hub_tokenizer(tmp_path / "siglip")
    clips = [str(clip_folder), str(siglip)]
    code = WORK.format(blip=str(blip_folder), text=str(sentence_folder), cache=str(tmp_path / "cache"), clips=clips)
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
