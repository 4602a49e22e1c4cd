"""A Whisper of the real architecture with random weights, in CTranslate2's format."""

from __future__ import annotations

from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORDS, VOCABULARY, BANDS = 50257, 51865, 80
_TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")
_CONFIG: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "vocab_size": VOCABULARY,
    "num_mel_bins": BANDS,
    "pad_token_id": WORDS,
    "bos_token_id": WORDS,
    "eos_token_id": WORDS,
    "tie_word_embeddings": False,
    "decoder_start_token_id": WORDS + 1,
}


def save_whisper(folder: Path, *, seed: int = 0) -> Path:
    """A multilingual model whose text is nonsense in words of four letters."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    torch.manual_seed(seed)
    set_verbosity_error()
    disable_progress_bar()
    model = WhisperForConditionalGeneration(WhisperConfig(**_CONFIG))
    # Tied to what comes in, what comes out would be one word again and again.
    model.proj_out.weight = torch.nn.Parameter(torch.randn(VOCABULARY, _CONFIG["d_model"]))
    model.generation_config.suppress_tokens, model.generation_config.begin_suppress_tokens = [], [WORDS]
    model.generation_config.lang_to_id = {f"<|{name}|>": WORDS + 2 + index for index, name in enumerate(_languages())}
    source = folder.with_name(f"{folder.name}-transformers")
    model.save_pretrained(source)
    PreTrainedTokenizerFast(tokenizer_object=_tokenizer()).save_pretrained(source)
    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(str(folder), quantization="int8")
    return folder


def _languages() -> list[str]:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    return [name for name in _LANGUAGE_CODES if name != "yue"]


def _tokenizer() -> Tokenizer:
    """Bytes, then made-up words, then the marks that Whisper knows, each with Whisper's own number."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made_up = ("Ġ" + "".join(word) for word in product(ascii_lowercase, repeat=4))
    words = [*letters, *islice(made_up, WORDS - len(letters))]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["endoftext", "startoftranscript", *_languages(), *_TASKS]
    tokenizer.add_special_tokens([AddedToken(f"<|{mark}|>", special=True) for mark in marks])
    return tokenizer
