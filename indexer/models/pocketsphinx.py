"""Speech to text with PocketSphinx (Huggins-Daines et al., 2006) and the US English model that its package brings.

A small model: in clear speech about every fourth word is wrong, in noise many more.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.metadata import files
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from indexer.core.errors import UnfitContentError, WeightsDamagedError
from indexer.core.types import Cue, Samples
from indexer.models.base import Fingerprint, Utterance
from indexer.models.lifecycle import LoadedOnUse, make_fingerprint
from indexer.models.silero import SAMPLE_RATE, Stretch, VoiceDetector
from indexer.models.weights import digest_files, loading, package_folder

if TYPE_CHECKING:
    from pocketsphinx import Decoder
    from pocketsphinx import Segment as Recognised

__all__ = ["EMBEDDED", "PocketsphinxRecognizer"]

EMBEDDED = "embedded"
"""The name of the model that the package brings."""

_ACOUSTIC = ("feat.params", "mdef", "means", "noisedict", "sendump", "transition_matrices", "variances")
_LANGUAGE_MODEL, _DICTIONARY = "en-us.lm.bin", "cmudict-en-us.dict"
_INSTALLED = PurePosixPath("pocketsphinx/model/en-us")
_MODEL = "model/en-us"
_FRAMES_PER_S = 100
_PEAK = 0.9


class PocketsphinxRecognizer(LoadedOnUse["_Decoders"]):
    """The role ``speech``, in US English, with lower-case words and no punctuation.

    Each voiced stretch is centred, brought to one level and recognised by itself, with the mean of its own cepstra
    subtracted; only the estimate of the noise is kept from stretch to stretch. An utterance is the words of one
    stretch. The model's own confidence in a word is not used: it is as low for right words as for wrong ones. It does
    not detect the language and finds English words in all of them.

    Args:
        detector: Finds the voiced stretches, so that music and noise give no words.
        folder: Where the model lies; by default inside the installed package.
    """

    def __init__(self, detector: VoiceDetector | None = None, *, folder: Path | None = None) -> None:
        super().__init__(lambda: _Decoders(self._folder), "cpu")
        self._given_folder = folder
        self.name = EMBEDDED
        self._detector = detector or VoiceDetector()

    @property
    def _folder(self) -> Path:
        return (
            self._given_folder or package_folder("pocketsphinx", "the embedded speech model", "pocketsphinx") / _MODEL
        )

    @property
    def sample_rate(self) -> int:
        """16000 Hz."""
        return SAMPLE_RATE

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """From the files alone."""
        preprocessing = {
            "voice": self._detector.digest,
            **self._detector.voicing.words,
            "sound": f"without its mean, peak {_PEAK}, 16 bits, cepstral mean of the stretch, noise of the sound",
        }
        return make_fingerprint("pocketsphinx", self.name, digest_files(_files(self._folder)), preprocessing)

    def load(self) -> None:
        """Bring the decoder and the voice detector into memory; see ``Model.load``."""
        super().load()
        self._detector.load()

    def unload(self) -> None:
        """Give the memory back; the next use loads again."""
        super().unload()
        self._detector.unload()

    def transcribe(self, windows: Iterable[Samples]) -> Iterator[Utterance]:
        """The utterances in time order, each as soon as its stretch has ended.

        Args:
            windows: The sound as consecutive pieces ``(n,)`` of any length, one channel at ``sample_rate``, pulled
                as they are needed. At most half a minute of it is kept.

        Raises:
            UnfitContentError: the decoder gave up.
        """
        stretches = self._detector.stretches(windows)
        first = next(stretches, None)
        if first is None:
            return
        decoders = self._model.get()
        decoder = decoders.take()
        for stretch in chain((first,), stretches):
            words = _words(decoder, stretch)
            if words:
                text = " ".join(word.text for word in words)
                yield Utterance(words[0].start_s, words[-1].end_s, text, words)
        # A decoder that was interrupted is not given back.
        decoders.give_back(decoder)


class _Decoders:
    """A decoder for each sound that is being recognised: its state holds the sound's noise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle = [_open_decoder(folder)]

    def take(self) -> Decoder:
        """A decoder with a fresh state; opened now if the others are in use."""
        try:
            decoder = self._idle.pop()
        except IndexError:
            return _open_decoder(self._folder)
        decoder.reinit_feat()
        return decoder

    def give_back(self, decoder: Decoder) -> None:
        """For the next sound."""
        self._idle.append(decoder)


def _words(decoder: Decoder, stretch: Stretch) -> tuple[Cue, ...]:
    try:
        decoder.start_utt()
        decoder.process_raw(_pcm(stretch.samples), full_utt=True)
        decoder.end_utt()
        # Without a hypothesis there is no segmentation to ask for.
        recognised = list(decoder.seg()) if decoder.hyp() is not None else []
    except RuntimeError as error:
        raise UnfitContentError(f"PocketSphinx gave up {stretch.start_s:.1f} s into the sound: {error}") from error
    return tuple(_cue(piece, stretch) for piece in recognised if _is_word(piece.word))


def _pcm(samples: Samples) -> bytes:
    """16-bit samples around zero at one level, as the decoder takes them."""
    centred = samples - samples.mean()
    level = _PEAK / max(float(np.abs(centred).max()), 1e-6)
    return bytes((centred * (level * 32767)).astype(np.int16).tobytes())


def _is_word(name: str) -> bool:
    """Silence is <sil>, <s> or </s>; other sounds are [NOISE] or [SPEECH]."""
    return not name.startswith(("<", "["))


def _cue(piece: Recognised, stretch: Stretch) -> Cue:
    """A word with its time in the whole sound; the decoder names a word's second pronunciation WORD(2)."""
    start_s, end_s = piece.start_frame / _FRAMES_PER_S, (piece.end_frame + 1) / _FRAMES_PER_S
    last_s = stretch.duration_s
    return Cue(
        stretch.start_s + min(start_s, last_s), stretch.start_s + min(end_s, last_s), piece.word.partition("(")[0]
    )


def _files(folder: Path) -> list[Path]:
    return [*(folder / "en-us" / name for name in _ACOUSTIC), folder / _LANGUAGE_MODEL, folder / _DICTIONARY]


def _check_files(folder: Path) -> None:
    """Compare the files with the installer's record: the decoder ends the whole process at a damaged file."""
    recorded = {
        name.relative_to(_INSTALLED).as_posix(): name.hash
        for name in files("pocketsphinx") or ()
        if name.is_relative_to(_INSTALLED) and name.hash is not None
    }
    for path in _files(folder):
        expected = recorded.get(path.relative_to(folder).as_posix())
        if expected is not None and expected.value != _digest(path, expected.mode):
            raise WeightsDamagedError(
                f"The model file '{path}' is not as it was installed.",
                hint="Reinstall it with: pip install --force-reinstall --no-deps pocketsphinx",
            )


def _digest(path: Path, algorithm: str) -> str:
    """As installers write it: Base64 without padding."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, algorithm).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _open_decoder(folder: Path) -> Decoder:
    digest_files(_files(folder))
    _check_files(folder)
    from pocketsphinx import Decoder

    with loading(folder):
        return Decoder(
            hmm=str(folder / "en-us"),
            lm=str(folder / _LANGUAGE_MODEL),
            dict=str(folder / _DICTIONARY),
            samprate=SAMPLE_RATE,
            frate=_FRAMES_PER_S,
            loglevel="FATAL",
        )
