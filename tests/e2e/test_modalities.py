"""Speech, sounds, objects and captions beside pictures and texts: made together, added later, left out."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest

from indexer.core.errors import ModelError, UnfitContentError, UnreadableMediaError, WeightsMissingError
from indexer.core.types import Cue, Facet, Image, ModalityName, Record, Samples, Space
from indexer.corpus.find import find_corpus
from indexer.corpus.labels import Annotation, Labels
from indexer.corpus.sidecars import Sidecars
from indexer.maintenance.dump import video_rows, write_rows
from indexer.media.read.probe import looks_like_media
from indexer.modalities.objects.segments import object_vectors
from indexer.modalities.video_facts import OF_SPEECH
from indexer.models.base import Detection, Models, Utterance
from indexer.progress import IndexReport, Progress
from indexer.run import Indexer, index_corpus
from indexer.shots.sampling import Sampling
from indexer.store.base import Manifest
from indexer.store.memory import MemoryStore
from indexer.video import Started, VideoJob, VideoSettings, index_video
from tests.clips import BLUE, GREEN, RED, clip, tone
from tests.encoders import ColourCaptioner, ColourDetector, ColourEncoder, LoudRecognizer, PitchEncoder, WordEncoder

WRITTEN: tuple[ModalityName, ...] = ("frames", "subtitle", "description")
SOUND = np.concatenate([tone(1), tone(1, 0), tone(1, 3000)])


class Library:
    """A folder of clips and an index of what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "films"
        self.root.mkdir()
        self.store = MemoryStore()
        self.frames = ColourEncoder()
        self.speech = LoudRecognizer()
        self.objects = ColourDetector()
        self.progress: list[Progress] = []

    def models(self) -> Models:
        return Models(
            self.frames,
            WordEncoder(),
            speech=self.speech,
            sounds=PitchEncoder(),
            objects=self.objects,
            captions=ColourCaptioner(),
        )

    def run(self, *modalities: ModalityName, always: bool = False, version: str = "1") -> IndexReport:
        wanted = dict.fromkeys((*WRITTEN, *modalities), version)
        settings = VideoSettings(Sampling(), batch_size=2, speech_always=always)
        corpus = find_corpus([self.root], looks_like_media=looks_like_media)
        indexer = Indexer(self.store, self.models(), None, settings, wanted)
        return index_corpus(corpus, Labels(), indexer, report_progress=self.progress.append)

    def job(self, modality: ModalityName) -> VideoJob:
        """One video, for this modality alone."""
        video = next(iter(self.store.commits().values())).video
        return VideoJob(video, (modality,), Sidecars(), Annotation("", ""), VideoSettings(Sampling()))

    def records(self, modality: ModalityName) -> list[Record]:
        spaces: Sequence[Space] = ("frames", "text", "audio")
        found = [record for space in spaces for record in self.store.records(space) if record.modality == modality]
        return sorted(found, key=lambda record: (record.video_id, record.start_s))

    def count(self, modality: ModalityName) -> int:
        (commit,) = self.store.commits().values()
        return commit.modalities[modality].count


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path)
    clip(made.root / "film.mp4", [RED, GREEN, BLUE], audio=SOUND)
    return made


def test_everything_is_made_in_one_run(library: Library) -> None:
    report = library.run("speech", "sounds", "objects", "captions")
    assert [path.name for path in report.indexed] == ["film.mp4"]
    (spoken,) = library.records("speech")
    assert spoken.text == "loud 0 loud 2"
    assert [(word.start_s, word.text) for word in spoken.words] == [(0, "loud"), (0.5, "0"), (2, "loud"), (2.5, "2")]
    assert [record.text for record in library.records("captions")] == [
        "a red picture",
        "a green picture",
        "a blue picture",
    ]
    objects = library.records("objects")
    assert [record.text for record in objects] == ["1 red", "1 green", "1 blue"]
    assert [record.start_s for record in objects] == pytest.approx([0.0, 1.0, 2.0], abs=0.1)
    assert objects[0].sightings[0].label == "red"
    low, high = (
        next(record for record in library.records("sounds") if record.text == name) for name in ("low", "high")
    )
    assert low.start_s == 0
    assert high.start_s >= 2
    assert all(
        library.count(name) == len(library.records(name)) for name in ("speech", "sounds", "objects", "captions")
    )


def test_what_watching_and_listening_found_are_facts_of_the_video(library: Library) -> None:
    library.run("speech")
    (commit,) = library.store.commits().values()
    found = commit.video.descriptors
    assert (found["cuts"], found["cuts_per_minute"]) == (2, 40.0)
    assert (found["resolution"], found["frame_rate"]) == ("160x96", 12.0)
    assert found["language"] == "en"
    assert found["speech_ratio"] == pytest.approx(2 / 3, abs=0.01)
    # A sine of amplitude 0.2 from two speakers has a power of 2 * 0.2**2 / 2, which is -14 dB, high tones up to 4 dB
    # more for the ear; the silence between is left out.
    assert -15 < float(found["loudness"]) < -10


@pytest.mark.parametrize("added", ["speech", "sounds"])
def test_what_is_added_later_is_made_alone_and_no_picture_is_decoded_again(
    library: Library, added: ModalityName
) -> None:
    clip(library.root / "other.mp4", [BLUE], audio=SOUND)
    library.run()
    pictures = library.frames.images_seen
    before = {record.id: record.vector for record in library.records("frames")}

    report = library.run(added)
    job = library.job(added)
    with closing(index_video(job, library.models())) as events:
        started = next(events)
    assert isinstance(started, Started)
    assert started.passes == 1  # over the sound; the pictures would be another
    assert len(report.updated) == 2
    assert not report.failed
    assert library.frames.images_seen == pictures
    assert {record.id: record.vector for record in library.records("frames")} == before
    assert {record.video_id for record in library.records(added)} == set(library.store.commits())
    assert library.run(added).unchanged == 2


def test_objects_added_later_leave_the_pictures_vectors_alone(library: Library) -> None:
    library.run()
    seen = library.frames.images_seen
    library.run("objects", "captions")
    assert library.frames.images_seen == seen
    assert len(library.records("objects")) == len(library.records("captions")) == 3


def test_the_vectors_of_what_is_seen_are_exported(library: Library) -> None:
    library.run("objects")
    detector = ColourDetector()
    models = {"objects": ("yolo:tiny", detector.fingerprint)}
    library.store.write_manifest(Manifest("embedded", models, "2020-01-01"))
    (row,) = video_rows(library.store)
    seen = {name: index for index, name in enumerate(detector.labels) if name in ("red", "green", "blue")}
    # Each colour is seen with 0.9 in one of the three keyframes.
    assert row["object_maximum"] == [0.9 if index in seen.values() else 0.0 for index in range(5)]
    assert row["object_mean"] == [0.3 if index in seen.values() else 0.0 for index in range(5)]


def with_detector(library: Library) -> MemoryStore:
    models = {"objects": ("yolo:tiny", ColourDetector().fingerprint)}
    library.store.write_manifest(Manifest("embedded", models, "2020-01-01"))
    return library.store


def test_the_vectors_of_what_is_seen_are_kept_with_the_video_as_its_sightings_give_them(library: Library) -> None:
    clip(library.root / "again.mp4", [RED, RED, GREEN, RED], seed=5)
    library.run("objects")
    store = with_detector(library)
    for commit in store.commits().values():
        sightings = [seen for record in store.records("text", video_id=commit.video.id) for seen in record.sightings]
        maximum, mean = object_vectors(sightings, commit.count(["frames"]), len(ColourDetector.labels))
        assert (commit.object_maximum, commit.object_mean) == (tuple(maximum.tolist()), tuple(mean.tolist()))
        assert len(commit.object_mean) == 5
    kept = list(video_rows(store))
    for commit in store.commits().values():
        store.write_commit(replace(commit, object_maximum=(), object_mean=()))
    assert list(video_rows(store)) == kept


class BlindToGreen(ColourDetector):
    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[seen for seen in found if seen.label != "green"] for found in super().detect(images)]


def test_the_vectors_of_what_is_seen_count_keyframes_with_nothing_in_them(library: Library) -> None:
    library.objects = BlindToGreen()
    library.run("objects")
    (commit,) = library.store.commits().values()
    assert [*ColourDetector.labels[:3]] == ["red", "green", "blue"]
    assert commit.object_maximum == pytest.approx((0.9, 0, 0.9, 0, 0))
    assert commit.object_mean == pytest.approx((0.3, 0, 0.3, 0, 0))


def test_the_vectors_of_what_is_seen_come_and_go_with_the_objects(library: Library) -> None:
    library.run("speech")
    assert [commit.object_maximum for commit in library.store.commits().values()] == [()]
    assert [row["object_maximum"] for row in video_rows(with_detector(library))] == [None]
    library.run("speech", "objects")
    (with_objects,) = library.store.commits().values()
    assert max(with_objects.object_maximum) == pytest.approx(0.9)
    library.run("objects")
    (without_speech,) = library.store.commits().values()
    assert without_speech.object_mean == with_objects.object_mean
    library.run("sounds", "objects")
    (with_sounds,) = library.store.commits().values()
    assert with_sounds.object_mean == with_objects.object_mean
    library.run("sounds")
    (without,) = library.store.commits().values()
    assert (without.object_maximum, without.object_mean) == ((), ())
    assert [row["object_mean"] for row in video_rows(library.store)] == [None]


def test_vectors_of_what_is_seen_are_no_facts_to_filter_by(library: Library) -> None:
    library.run("objects")
    (commit,) = library.store.commits().values()
    assert not [name for name in (*commit.video.descriptors, *commit.video.facets) if "object" in name]


def test_rows_of_a_table_have_one_heading_whatever_failed(library: Library) -> None:
    (library.root / "a broken one.mp4").write_bytes(b"nothing")
    library.run("objects")
    table = StringIO()
    assert write_rows(video_rows(with_detector(library)), table, "csv") == 2
    broken, film = csv.DictReader(table.getvalue().splitlines())
    assert (broken["state"], broken["object_mean"]) == ("failed", "")
    assert json.loads(film["object_mean"])[0] == 0.3


def test_an_addition_that_was_cut_off_goes_on_where_it_stopped(library: Library) -> None:
    for number in range(3):
        clip(library.root / f"more {number}.mp4", [RED], seed=10 + number, audio=SOUND)
    library.run()

    class Interrupted(LoudRecognizer):
        def transcribe(self, windows):
            if self.seconds_heard >= 6:
                raise KeyboardInterrupt
            return super().transcribe(windows)

    library.speech = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        library.run("speech")
    done = {record.video_id for record in library.records("speech")}
    assert 0 < len(done) < 4
    library.speech = LoudRecognizer()
    library.run("speech")
    assert library.speech.seconds_heard == 3 * (4 - len(done))
    assert len({record.video_id for record in library.records("speech")}) == 4


def test_what_the_index_is_to_do_without_is_dropped(library: Library) -> None:
    library.run("speech", "objects")
    assert library.run("objects").unchanged == 1
    assert library.records("speech") == []
    assert len(library.records("objects")) == 3
    (commit,) = library.store.commits().values()
    assert set(commit.modalities) == {*WRITTEN, "objects"}


def test_what_only_listening_tells_goes_with_the_speech(library: Library) -> None:
    library.run("speech", "objects")
    library.run("objects")
    (commit,) = library.store.commits().values()
    assert {"speech_ratio", "language"}.isdisjoint(commit.video.descriptors)
    assert "loudness" in commit.video.descriptors


class InterruptedStore(MemoryStore):
    """Ctrl-C once, right after records were deleted."""

    armed = False

    def delete_records(self, video_id: str, modalities: Collection[ModalityName] | None = None) -> None:
        super().delete_records(video_id, modalities)
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt


def test_what_was_dropped_only_half_before_a_cut_is_made_anew(library: Library) -> None:
    library.store = store = InterruptedStore()
    library.run("speech", "objects")
    store.armed = True
    with pytest.raises(KeyboardInterrupt):
        library.run("objects")
    library.run("speech", "objects")
    assert len(library.records("speech")) == library.count("speech") == 1
    assert len(library.records("objects")) == 3


class DeafRecognizer(LoudRecognizer):
    """Meets damage where another would hear something."""

    def transcribe(self, windows: Iterable[Samples]) -> Iterator[Utterance]:
        next(iter(windows))
        raise UnreadableMediaError("It is damaged.")


def test_damaged_sound_is_still_told_of_when_something_else_was_added(library: Library) -> None:
    library.speech = DeafRecognizer()
    library.run("speech")
    library.run("speech", "objects")
    (commit,) = library.store.commits().values()
    assert commit.warnings == ("Its sound cannot be heard: It is damaged.",)
    library.speech = LoudRecognizer()
    library.run("speech", "objects", "sounds")
    (commit,) = library.store.commits().values()
    assert commit.warnings == ()


def test_subtitles_are_not_listened_to_unless_asked_for(tmp_path: Path) -> None:
    library = Library(tmp_path)
    clip(library.root / "film.mp4", [RED, GREEN, BLUE], audio=SOUND, subtitles=[Cue(0.2, 0.9, "The kettle sings.")])
    library.run("speech")
    assert library.speech.seconds_heard == 0
    assert (library.count("subtitle"), library.count("speech")) == (1, 0)
    assert library.run("speech").unchanged == 1
    library.run("speech", always=True)
    assert library.speech.seconds_heard == 3
    assert (library.count("subtitle"), library.count("speech")) == (1, 1)
    assert library.run("speech", always=True).unchanged == 1


SRT = "1\n00:00:00,250 --> 00:00:01,000\nThe kettle sings.\n\n2\n00:00:00,500 --> 00:00:01,750\nIt sings.\n"


def facts_of_speech(library: Library) -> dict[str, Facet]:
    (commit,) = library.store.commits().values()
    return {name: fact for name, fact in commit.video.descriptors.items() if name in OF_SPEECH}


@pytest.mark.parametrize("modalities", [(), ("speech",)], ids=["without speech", "with speech"])
def test_subtitles_tell_how_long_and_in_which_language_somebody_speaks(
    library: Library, modalities: tuple[ModalityName, ...]
) -> None:
    (library.root / "film.de.srt").write_text(SRT)
    library.run(*modalities)
    # From 0.25 to 1.75 of 3 seconds.
    assert facts_of_speech(library) == {"speech_ratio": 0.5, "language": "de"}


def test_subtitles_inside_a_video_tell_their_language(tmp_path: Path) -> None:
    library = Library(tmp_path)
    plain = clip(tmp_path / "plain.mkv", [RED, GREEN], audio=True, subtitles=[Cue(0.5, 1.0, "The kettle sings.")])
    with av.open(plain) as source, av.open(library.root / "film.mkv", "w") as made:
        copies = {stream.index: made.add_stream_from_template(stream) for stream in source.streams}
        for stream in source.streams.subtitles:
            copies[stream.index].metadata["language"] = "ger"
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
    library.run("speech")
    assert facts_of_speech(library) == {"speech_ratio": pytest.approx(0.25, abs=0.01), "language": "de"}


def test_facts_of_speech_follow_what_is_written_and_heard(library: Library) -> None:
    written: dict[str, Facet] = {"speech_ratio": 0.5, "language": "de"}
    heard: dict[str, Facet] = {"speech_ratio": pytest.approx(2 / 3, abs=0.01), "language": "en"}
    subtitles = library.root / "film.de.srt"
    library.run("speech")
    assert facts_of_speech(library) == heard
    subtitles.write_text(SRT)
    library.run("speech")
    assert facts_of_speech(library) == written
    library.run("speech", "sounds", "objects")
    assert facts_of_speech(library) == written
    library.run("speech", always=True)
    assert facts_of_speech(library) == heard
    library.run("speech", "objects", always=True)
    assert facts_of_speech(library) == heard
    library.run()
    assert facts_of_speech(library) == written
    subtitles.rename(library.root / "film.fr.srt")
    library.run()
    assert facts_of_speech(library) == written | {"language": "fr"}
    (library.root / "film.fr.srt").unlink()
    library.run()
    assert facts_of_speech(library) == {}


def test_subtitles_say_which_language_it_is_that_a_recogniser_cannot_tell(library: Library) -> None:
    class Deaf(LoudRecognizer):
        def transcribe(self, windows):
            return (replace(utterance, language="") for utterance in super().transcribe(windows))

    library.speech = Deaf()
    (library.root / "film.de.srt").write_text(SRT)
    library.run("speech", always=True)
    assert facts_of_speech(library) == {"speech_ratio": pytest.approx(2 / 3, abs=0.01), "language": "de"}
    (library.root / "film.de.srt").rename(library.root / "film.srt")
    library.run("speech", always=True)
    assert facts_of_speech(library) == {"speech_ratio": pytest.approx(2 / 3, abs=0.01)}


def test_subtitles_that_go_away_are_replaced_by_listening(tmp_path: Path) -> None:
    library = Library(tmp_path)
    film = clip(library.root / "film.mp4", [RED, GREEN, BLUE], audio=SOUND)
    subtitles = film.with_suffix(".srt")
    subtitles.write_text("1\n00:00:00,200 --> 00:00:00,900\nThe kettle sings.\n")
    library.run("speech")
    assert (library.count("subtitle"), library.count("speech")) == (1, 0)
    subtitles.unlink()
    library.run("speech")
    assert (library.count("subtitle"), library.count("speech")) == (0, 1)


def test_subtitles_that_come_later_take_the_place_of_what_was_heard(tmp_path: Path) -> None:
    library = Library(tmp_path)
    film = clip(library.root / "film.mp4", [RED, GREEN, BLUE], audio=SOUND)
    library.run("speech")
    assert library.count("speech") == 1
    film.with_suffix(".srt").write_text("1\n00:00:00,200 --> 00:00:00,900\nThe kettle sings.\n")
    library.run("speech")
    assert (library.count("subtitle"), library.count("speech")) == (1, 0)
    assert library.records("speech") == []
    assert library.run("speech").unchanged == 1


def test_a_video_that_breaks_a_model_fails_alone(library: Library) -> None:
    clip(library.root / "other.mp4", [BLUE], audio=SOUND)

    class Brittle(LoudRecognizer):
        def transcribe(self, windows):
            for utterance in super().transcribe(windows):
                if self.seconds_heard > 3:
                    raise RuntimeError("shapes cannot be multiplied")
                yield utterance

    library.speech = Brittle()
    report = library.run("speech")
    ((_, reason),) = report.failed
    assert "shapes cannot be multiplied" in reason
    assert len(report.indexed) == 1


def test_content_that_a_model_refuses_fails_alone(library: Library) -> None:
    class Choosy(LoudRecognizer):
        def transcribe(self, windows):
            raise UnfitContentError("PocketSphinx gave up 1.0 s into the sound")

    library.speech = Choosy()
    ((_, reason),) = library.run("speech").failed
    assert "gave up" in reason


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("CUDA out of memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ModelError("The package that listens is not installed."),
        WeightsMissingError("The weights are not here."),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_would_fail_for_every_video_stops_the_run_and_blames_none(library: Library, fault: Exception) -> None:
    class Unable(LoudRecognizer):
        def transcribe(self, windows):
            raise fault

    library.speech = Unable()
    with pytest.raises(type(fault)):
        library.run("speech")
    assert all(commit.state != "failed" for commit in library.store.commits().values())


def test_what_was_dropped_is_told(library: Library) -> None:
    library.run("speech", "objects")
    assert library.run("objects").dropped == {"speech": 1}
    assert library.run("objects").dropped == {}


def test_another_model_for_speech_makes_speech_anew_and_nothing_else(library: Library) -> None:
    library.run("speech")
    seen, heard = library.frames.images_seen, library.speech.seconds_heard
    models = {
        name: state.fingerprint for name, state in next(iter(library.store.commits().values())).modalities.items()
    }
    assert models["speech"] == "1"
    (key,) = library.store.commits()
    commit = library.store.commits()[key]
    aged = {**commit.modalities, "speech": replace(commit.modalities["speech"], fingerprint="0")}
    library.store.write_commit(replace(commit, modalities=aged))
    library.run("speech")
    assert library.frames.images_seen == seen
    assert library.speech.seconds_heard == 2 * heard
    assert len(library.records("speech")) == 1


def test_sound_alone_is_indexed(tmp_path: Path) -> None:
    library = Library(tmp_path)
    clip(library.root / "film.m4a", [], audio=SOUND)
    report = library.run("speech", "sounds")
    assert not report.warnings
    assert library.count("speech") == 1
    assert not library.run("speech", "sounds", "objects").warnings
    assert ["has no picture, and nothing" in text for _, text in library.run("objects", "captions").warnings] == [True]


def test_the_bar_moves_while_a_video_is_listened_to_and_ends_full(tmp_path: Path) -> None:
    library = Library(tmp_path)
    clip(library.root / "film.mp4", [RED, GREEN, BLUE], shot_s=14.0, audio=True)
    library.run("speech", "sounds")
    shares = [progress.bytes_done / progress.bytes_total for progress in library.progress]
    assert shares == sorted(shares)
    assert any(0.5 < share < 1 for share in shares)
    assert shares[-1] == 1.0
