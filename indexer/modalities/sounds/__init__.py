"""What is heard besides speech."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from indexer.core.types import Record
from indexer.modalities.base import Extractor, Modality, Sound, batches
from indexer.models.base import Role, SoundEncoder
from indexer.models.build import clap, yamnet

__all__ = ["SOUNDS"]


class SoundExtractor(Extractor):
    """Encodes windows of sound; neighbours that sound alike become one record."""

    def on_sound(self, sound: Sound) -> Iterator[list[Record]]:
        """See ``Extractor``."""
        from indexer.modalities.sounds.segments import sound_segments

        encoder = cast("SoundEncoder", self.context.model("sounds"))
        found = sound_segments(self.context.video_id, sound.windows(encoder.sample_rate), encoder)
        for batch in batches(found):
            yield [self.records.of_segment(one.segment, one.vector) for one in batch]


SOUNDS = Modality(
    "sounds",
    "audio",
    "sounds",
    "sound",
    SoundExtractor,
    role=Role(
        "sounds",
        {"yamnet": yamnet, "clap": clap},
        default="yamnet:thelou1s/yamnet",
        help='Sounds: "yamnet:/path/yamnet.tflite", "clap:NAME", "clap:/folder", or "off".',
    ),
    version="1",
    heading="Sound",
    cost="what is heard. 0.4 to 2 s for a minute of video; needs a sound model, named in the settings",
)
