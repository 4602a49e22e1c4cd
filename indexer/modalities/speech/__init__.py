"""What is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from indexer.core.types import Record
from indexer.modalities.base import Extractor, Modality, Sound, batches
from indexer.modalities.video_facts import OF_SPEECH, describe_sound
from indexer.models.base import Role, SpeechRecognizer
from indexer.models.build import pocketsphinx, whisper

__all__ = ["SPEECH"]


class SpeechExtractor(Extractor):
    """Recognises speech; finds out how much of the video is speech, and in which language."""

    def on_sound(self, sound: Sound) -> Iterator[list[Record]]:
        """See ``Extractor``."""
        from indexer.modalities.speech.segments import SpeechTally, speech_segments

        recognizer, tally = cast("SpeechRecognizer", self.context.model("speech")), SpeechTally()
        utterances = tally.counting(recognizer.transcribe(sound.windows(recognizer.sample_rate)))
        for segments in batches(speech_segments(self.context.video_id, utterances)):
            yield self.records.of_segments(segments)
        self.facts |= describe_sound(
            loudness_lufs=None, spoken_s=tally.spoken_s, language=tally.language, duration_s=sound.duration_s
        )


SPEECH = Modality(
    "speech",
    "text",
    "speech",
    "sound",
    SpeechExtractor,
    role=Role(
        "speech",
        {"pocketsphinx": pocketsphinx, "whisper": whisper},
        default="pocketsphinx:embedded",
        help='Speech recognition: "whisper:small", "whisper:/folder", "pocketsphinx:embedded"; "off" leaves it out of '
        "a new index. Empty, here and below: the profile's model.",
    ),
    version="1",
    replaced_by_subtitles=True,
    facts=OF_SPEECH,
    cost="what is said. 0.6 s for a minute of video without speech, to 20 s where speech never stops",
)
