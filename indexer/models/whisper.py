"""Speech to text with Whisper (Radford et al., 2022), computed by faster-whisper and CTranslate2."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.core.errors import ModelError, WeightsDamagedError
from indexer.core.types import Cue, Samples
from indexer.models.base import Fingerprint, Utterance
from indexer.models.devices import resolve_device
from indexer.models.lifecycle import LoadedOnUse, make_fingerprint
from indexer.models.silero import SAMPLE_RATE, VoiceDetector, Voicing
from indexer.models.speech_packing import Chunk, pack
from indexer.models.weights import digest_files, find_folder, first_line, loading, require_files, short_name

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Segment as Passage
    from faster_whisper.transcribe import Word

__all__ = ["HUB_FILES", "Doubt", "WhisperRecognizer", "hub_repository"]

HUB_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What a model's folder must hold, on the Hub and on disk."""

_HUB_PATTERNS = (*HUB_FILES, "preprocessor_config.json", "vocabulary.*")
_TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
_REPOSITORIES = {
    "large": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": _TURBO,
    "turbo": _TURBO,
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}

_CONVERTED = "The folder must be one that CTranslate2's converter wrote (model.bin and config.json)."
_WITH_TOKENIZER = (
    "Copy it from the original model's folder, with preprocessor_config.json, or convert again with: "
    "ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json ..."
)
_CHUNK_S = 29.5
_CHUNKS_FOR_LANGUAGE = 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """When a passage counts as imagined and is left out; see section 4.5 of the Whisper paper.

    Args:
        logprob_below: Mean log probability of its tokens.
        no_speech_above: Probability in [0, 1] that there is no speech, if the log probability is too low as well.
        compression_above: How much shorter compression makes the text: a loop repeats itself.
    """

    logprob_below: float = -1.0
    no_speech_above: float = 0.6
    compression_above: float = 2.4

    def of(self, passage: Passage) -> bool:
        """Whether the passage is too doubtful to keep."""
        return bool(passage.avg_logprob < self.logprob_below or passage.compression_ratio > self.compression_above)


class WhisperRecognizer(LoadedOnUse["WhisperModel"]):
    """The role ``speech``, in a hundred languages, with capitals and punctuation.

    Only voiced stretches are recognised, packed into chunks of up to half a minute, the model's input. The language is
    detected once, in the first minute and a half of voice. Words have their own times; an utterance never spans two
    stretches. Decoding is a beam search without sampling, so the same sound gives the same text; the precision (8 bits
    on a CPU, half precision on a GPU) changes a word now and then.

    Args:
        name: A size such as ``small`` or ``large-v3-turbo``, a repository on the Hub in CTranslate2's format
            (``owner/name``), or a folder in that format.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; CTranslate2 does not support Apple's GPUs, so ``mps`` runs on
            the CPU.
        detector: Finds the voiced stretches.
        doubt: When a passage is left out.
    """

    def __init__(
        self,
        name: str = "small",
        *,
        device: str = "auto",
        detector: VoiceDetector | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        super().__init__(self._open, device)
        self.name = name
        self._detector = detector or VoiceDetector(Voicing(longest_s=_CHUNK_S))
        self._doubt = doubt or Doubt()

    @property
    def sample_rate(self) -> int:
        """16000 Hz."""
        return SAMPLE_RATE

    @cached_property
    def folder(self) -> Path:
        """Where the model lies; a name on the Hub is downloaded now if it is not cached."""
        return _find_folder(self.name)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the folder's files alone."""
        preprocessing = {
            "voice": self._detector.digest,
            **self._detector.voicing.words,
            **asdict(self._doubt),
            "search": "beam 5, no sampling, no earlier text",
            "language": f"of the first {_CHUNKS_FOR_LANGUAGE} chunks of {_CHUNK_S} s",
        }
        _require(self.folder)
        weights = digest_files([self.folder / file for file in ("model.bin", "tokenizer.json")])
        return make_fingerprint("whisper", short_name(self.name), weights, preprocessing)

    def load(self) -> None:
        """Bring the model and the voice detector into memory; see ``Model.load``."""
        super().load()
        self._detector.load()

    def unload(self) -> None:
        """Give the memory back; the next use loads again."""
        super().unload()
        self._detector.unload()

    def transcribe(self, windows: Iterable[Samples]) -> Iterator[Utterance]:
        """The utterances in time order, each as soon as its chunk is recognised.

        Args:
            windows: The sound as consecutive pieces ``(n,)`` of any length, one channel at ``sample_rate``, pulled
                as they are needed. At most two minutes of it are kept.

        Raises:
            ModelError: the device fails while it computes.
        """
        chunks = pack(self._detector.stretches(windows), _CHUNK_S)
        first = list(islice(chunks, _CHUNKS_FOR_LANGUAGE))
        if not first:
            return
        model = self._model.get()
        with _computing():
            language = _language(model, first)
        for chunk in chain(first, chunks):
            yield from _utterances(self._passages(model, chunk, language), chunk, language)

    def _passages(self, model: WhisperModel, chunk: Chunk, language: str) -> list[Passage]:
        with _computing():
            passages, _ = model.transcribe(
                chunk.samples,
                language=language,
                beam_size=5,
                temperature=0.0,
                condition_on_previous_text=False,
                word_timestamps=True,
                log_prob_threshold=self._doubt.logprob_below,
                no_speech_threshold=self._doubt.no_speech_above,
                compression_ratio_threshold=self._doubt.compression_above,
            )
            return [passage for passage in passages if not self._doubt.of(passage)]

    def _open(self) -> WhisperModel:
        folder, device = self.folder, _device(self._device)
        _require(folder)
        _check_tokenizer(folder / "tokenizer.json")
        from faster_whisper import WhisperModel

        with loading(folder), _computing(symptom="CUDA"):
            model = WhisperModel(
                str(folder),
                device=device,
                compute_type="float16" if device == "cuda" else "int8",
                # The decoder needs the other cores meanwhile.
                cpu_threads=max(1, (os.cpu_count() or 2) // 2),
                local_files_only=True,
            )
        _check_bands(model, folder)
        return model


def _device(asked: str) -> str:
    """A device that CTranslate2 knows. PyTorch, which takes seconds to import, is asked only if needed."""
    return "cuda" if asked != "cpu" and resolve_device(asked) == "cuda" else "cpu"


def hub_repository(name: str) -> str:
    """The repository on the Hub that holds the model of a size, in CTranslate2's format."""
    if "/" in name:
        return name
    if name.startswith("distil-"):
        return _REPOSITORIES.get(name, f"Systran/faster-distil-whisper-{name.removeprefix('distil-')}")
    return _REPOSITORIES.get(name, f"Systran/faster-whisper-{name}")


def _language(model: WhisperModel, chunks: Sequence[Chunk]) -> str:
    """The most probable language of all the chunks, weighted by their lengths."""
    if not model.model.is_multilingual:
        return "en"
    total: Counter[str] = Counter()
    for chunk in chunks:
        *_, probabilities = model.detect_language(chunk.samples)
        total.update({name: probability * len(chunk.samples) for name, probability in probabilities})
    return total.most_common(1)[0][0]


def _utterances(passages: Iterable[Passage], chunk: Chunk, language: str) -> Iterator[Utterance]:
    """The utterances of a chunk: one for each passage and stretch."""
    latest_s = 0.0
    for passage in passages:
        for index, spoken in groupby(
            passage.words or (), key=lambda word: chunk.stretch_at((word.start + word.end) / 2)
        ):
            words = list(spoken)
            cues = tuple(_cues(words, chunk, index, latest_s))
            if cues:
                text = "".join(word.word for word in words).strip()
                yield Utterance(cues[0].start_s, max(cue.end_s for cue in cues), text, cues, language)
                latest_s = cues[-1].start_s


def _cues(words: Iterable[Word], chunk: Chunk, index: int, latest_s: float) -> Iterator[Cue]:
    """The words with their times in the whole sound; no word starts before the one before it."""
    for word in words:
        if text := word.word.strip():
            latest_s = max(latest_s, chunk.original_s(word.start, index))
            yield Cue(latest_s, max(latest_s, chunk.original_s(word.end, index)), text)


def _find_folder(name: str) -> Path:
    repo, setting = hub_repository(name), 'models.speech = "whisper:/that/folder"'
    return find_folder(name, repo, HUB_FILES, _HUB_PATTERNS, setting=setting)


@contextmanager
def _computing(symptom: str = "") -> Iterator[None]:
    """Turn errors of the device, those that mention ``symptom``, into an error of ours."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if symptom not in str(error):
            raise
        raise ModelError(
            f"Whisper cannot compute on this device: {error}.",
            hint="A GPU needs enough free memory, and cuBLAS and cuDNN 9 for CUDA 12 (pip install nvidia-cublas-cu12 "
            "nvidia-cudnn-cu12). Or use --device cpu.",
        ) from error


def _require(folder: Path) -> None:
    """Check for every file: instead of a missing tokenizer the library would download that of another model."""
    require_files([folder / "model.bin", folder / "config.json"], hint=_CONVERTED)
    require_files([folder / "tokenizer.json"], hint=_WITH_TOKENIZER)


def _check_tokenizer(path: Path) -> None:
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more exact
        raise WeightsDamagedError(
            f"The tokenizer '{path}' cannot be read: {first_line(error)}.", hint="Delete it and fetch it again."
        ) from error


def _check_bands(model: WhisperModel, folder: Path) -> None:
    """Check the number of frequency bands: without preprocessor_config.json a model of 128 bands would get 80."""
    heard, wanted = model.feature_extractor.mel_filters.shape[0], model.model.n_mels
    if heard != wanted:
        raise WeightsDamagedError(
            f"The model at '{folder}' wants sound in {wanted} bands, and its preprocessor_config.json says {heard}.",
            hint="Fetch preprocessor_config.json from where the model came from.",
        )
