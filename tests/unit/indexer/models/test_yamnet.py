"""YAMNet: what it hears, what it calls it, where its files are looked for, and whether texts find sounds."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import best_classes
from indexer.core.errors import WeightsDamagedError, WeightsMissingError
from indexer.core.types import Samples
from indexer.media.deliver.write import AudioTrack, ClipOptions, write_clip
from indexer.media.read.audio import read_audio
from indexer.modalities.sounds.segments import SoundSegment, sound_segments
from indexer.models.long_texts import normalised
from indexer.models.sentence import SentenceEncoder
from indexer.models.yamnet import (
    CLASS_MAP,
    HUB,
    POWER,
    SAMPLE_RATE,
    SIMILARITY_FLOOR,
    TOP_CLASSES,
    WINDOW,
    YamnetEncoder,
    class_texts,
    read_class_names,
    tags_of,
)
from tests.encoders import WordEncoder
from tests.unit.indexer.models import tiny, tiny_sounds

DATA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tiny_sounds.TinyYamnet:
    saved = tiny_sounds.save_yamnet(tmp_path_factory.mktemp("yamnet") / "yamnet.tflite")
    tiny_sounds.write_class_map(saved.path.with_name(CLASS_MAP))
    return saved


@pytest.fixture(scope="module")
def real(pytestconfig: pytest.Config) -> YamnetEncoder:
    if not (DATA / "yamnet").is_dir():
        pytest.skip(f"needs the real YAMNet at {DATA}")
    kept = pytestconfig.cache.mkdir("class-vectors") if pytestconfig.cache else None
    encoder = YamnetEncoder(str(DATA / "yamnet"), SentenceEncoder(device="cpu"), cache_folder=kept)
    encoder.load()
    return encoder


def gradio_sound(name: str) -> Path:
    package = find_spec("gradio")
    if package is None or package.origin is None:
        pytest.skip("needs the sounds that gradio brings")
    path = Path(package.origin).parent / "media_assets" / "audio" / name
    if not path.is_file():
        pytest.skip(f"this gradio does not bring {name}")
    return path


def windows_of(sound: Samples) -> list[Samples]:
    return [sound[start : start + WINDOW] for start in range(0, len(sound), WINDOW)]


def noise(count: int) -> list[Samples]:
    return list(np.random.default_rng(3).normal(0, 0.2, (count, WINDOW)).astype(np.float32))


def test_scores_are_the_networks_own(network: tiny_sounds.TinyYamnet) -> None:
    scores = YamnetEncoder(str(network.path), WordEncoder()).class_scores(noise(3))
    assert scores == pytest.approx(np.stack([network.scores(window) for window in noise(3)]), abs=1e-4)


def test_a_short_window_is_followed_by_silence(network: tiny_sounds.TinyYamnet) -> None:
    half = noise(1)[0][: WINDOW // 2]
    scores = YamnetEncoder(str(network.path), WordEncoder()).class_scores([half])
    assert scores[0] == pytest.approx(network.scores(np.pad(half, (0, WINDOW // 2))), abs=1e-4)


def test_a_vector_is_the_mean_of_the_strongest_classes_by_their_scores(network: tiny_sounds.TinyYamnet) -> None:
    texts = WordEncoder()
    encoder = YamnetEncoder(str(network.path), texts)
    names, phrases = class_texts(tiny_sounds.CLASS_NAMES)
    classes = normalised(texts.encode_documents(names) + texts.encode_documents(phrases))
    scores = network.scores(noise(1)[0])
    strongest = np.argsort(-scores)[:TOP_CLASSES]
    mean = sum(scores[index] ** POWER * classes[index] for index in strongest)
    assert encoder.encode_audio(noise(1)).vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def test_a_class_is_named_and_said_to_be_a_sound() -> None:
    assert class_texts(["Saxophone"]) == (["Saxophone"], ["the sound of saxophone"])


def test_tags_are_the_likely_classes_best_first() -> None:
    names = tuple("abcdefgh")
    tags = tags_of(np.array([0.1, 0.05, 0.9, 0.2, 0.3, 0.4, 0.5, 0.09], np.float32), names)
    assert "".join(tag.label for tag in tags) == "cgfed"
    assert [tag.score for tag in tags] == pytest.approx([0.9, 0.5, 0.4, 0.3, 0.2])


def test_there_is_a_tag_even_where_nothing_is_likely() -> None:
    assert [tag.label for tag in tags_of(np.array([0.01, 0.03, 0.02], np.float32), "abc")] == ["b"]


def test_texts_need_no_network(tmp_path: Path) -> None:
    encoder = YamnetEncoder(str(tmp_path / "nowhere.tflite"), WordEncoder())
    assert np.array_equal(encoder.encode_texts(["a bird"]), WordEncoder().encode_queries(["a bird"]))
    assert not encoder.loaded


def test_names_inside_the_file_are_read(tmp_path: Path) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite")
    tiny_sounds.put_names_inside(saved.path)
    assert read_class_names(saved.path) == tiny_sounds.CLASS_NAMES
    scores = YamnetEncoder(str(saved.path), WordEncoder()).class_scores(noise(1))
    assert scores[0] == pytest.approx(saved.scores(noise(1)[0]), abs=1e-4)


def test_names_beside_the_file_are_read(network: tiny_sounds.TinyYamnet) -> None:
    assert read_class_names(network.path) == tiny_sounds.CLASS_NAMES


def test_names_that_are_nowhere_are_asked_for(tmp_path: Path) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite")
    with pytest.raises(WeightsMissingError, match=CLASS_MAP):
        YamnetEncoder(str(saved.path), WordEncoder()).load()


@pytest.mark.parametrize("content", [b"index;name\n0;Speech\n", b"\xff\xfe\xff", b""])
def test_names_that_cannot_be_read_are_damage(tmp_path: Path, content: bytes) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite")
    saved.path.with_name(CLASS_MAP).write_bytes(content)
    with pytest.raises(WeightsDamagedError, match="cannot be"):
        YamnetEncoder(str(saved.path), WordEncoder()).load()


def test_too_few_names_are_damage(tmp_path: Path) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite")
    tiny_sounds.put_names_inside(saved.path, tiny_sounds.CLASS_NAMES[1:])
    with pytest.raises(WeightsDamagedError, match="are named"):
        YamnetEncoder(str(saved.path), WordEncoder()).load()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 100, b"\0\0\0\0TFL3" + b"\xff" * 64])
def test_a_damaged_network_is_said_to_be(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(content)
    tiny_sounds.write_class_map(tmp_path / CLASS_MAP)
    with pytest.raises(WeightsDamagedError, match="cannot be loaded"):
        YamnetEncoder(str(path), WordEncoder()).load()


def test_a_network_for_other_windows_is_refused(tmp_path: Path) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite", window=1_600)
    tiny_sounds.write_class_map(tmp_path / CLASS_MAP)
    with pytest.raises(WeightsDamagedError, match="windows of 15600 samples"):
        YamnetEncoder(str(saved.path), WordEncoder()).load()


def test_a_folder_stands_for_the_one_network_in_it(network: tiny_sounds.TinyYamnet, tmp_path: Path) -> None:
    folder, file = (YamnetEncoder(str(path), WordEncoder()) for path in (network.path.parent, network.path))
    assert folder.fingerprint == file.fingerprint
    with pytest.raises(WeightsMissingError, match="hf download"):
        YamnetEncoder(str(tmp_path), WordEncoder()).load()
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsMissingError, match="Give the path of the file"):
        YamnetEncoder(str(tmp_path), WordEncoder()).load()


@pytest.mark.parametrize("name", ["/no/where/yamnet.tflite", "yamnet.tflite", "./a/b", "embedded"])
def test_a_file_that_is_not_there_is_said_where_to_get(name: str) -> None:
    with pytest.raises(WeightsMissingError, match=rf"hf download {HUB.repo} .*yamnet:/that/file\.tflite"):
        YamnetEncoder(name, WordEncoder()).load()


@pytest.mark.parametrize(
    ("name", "file"), [("owner/yamnet", HUB.name), ("owner/yamnet/other.tflite", "other.tflite"), (HUB.repo, HUB.name)]
)
def test_a_network_on_the_hub_is_loaded_from_the_cache(tmp_path: Path, hub_cache: Path, name: str, file: str) -> None:
    with pytest.raises(WeightsMissingError, match="HF_HUB_OFFLINE"):
        YamnetEncoder(name, WordEncoder()).load()
    saved = tiny_sounds.save_yamnet(tmp_path / "repository" / file)
    tiny_sounds.put_names_inside(saved.path)
    tiny.save_in_hub_cache(hub_cache, "/".join(name.split("/")[:2]), saved.path.parent)
    cached, local = (YamnetEncoder(given, WordEncoder()) for given in (name, str(saved.path)))
    assert np.array_equal(cached.encode_audio(noise(2)).vectors, local.encode_audio(noise(2)).vectors)
    assert cached.fingerprint == local.fingerprint


def test_a_network_on_the_hub_finds_its_names_in_the_same_repository(tmp_path: Path, hub_cache: Path) -> None:
    saved = tiny_sounds.save_yamnet(tmp_path / "repository" / "yamnet.tflite")
    tiny.save_in_hub_cache(hub_cache, "owner/bare", saved.path.parent)
    with pytest.raises(WeightsMissingError, match=CLASS_MAP):
        YamnetEncoder("owner/bare/yamnet.tflite", WordEncoder()).load()
    tiny_sounds.write_class_map(saved.path.with_name(CLASS_MAP))
    tiny.save_in_hub_cache(hub_cache, "owner/named", saved.path.parent)
    assert YamnetEncoder("owner/named/yamnet.tflite", WordEncoder()).class_names == tiny_sounds.CLASS_NAMES


def test_other_names_or_weights_have_another_fingerprint(network: tiny_sounds.TinyYamnet, tmp_path: Path) -> None:
    renamed = tiny_sounds.save_yamnet(tmp_path / "yamnet.tflite")
    tiny_sounds.write_class_map(tmp_path / CLASS_MAP, tiny_sounds.CLASS_NAMES[::-1])
    digests = {YamnetEncoder(str(path), WordEncoder()).fingerprint.digest for path in (network.path, renamed.path)}
    assert len(digests) == 2


def test_nothing_is_written_to_the_terminal(network: tiny_sounds.TinyYamnet) -> None:
    code = (
        "import numpy as np\nfrom indexer.models.yamnet import YamnetEncoder\nfrom tests.encoders import WordEncoder\n"
        f"YamnetEncoder({str(network.path)!r}, WordEncoder()).encode_audio([np.zeros(15600, np.float32)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


def test_the_best_classes_of_a_file_are_those_of_the_mean_of_its_windows(
    network: tiny_sounds.TinyYamnet, tmp_path: Path
) -> None:
    loud, quiet = noise(2)
    sound = np.concatenate([loud, quiet[: WINDOW // 2]])
    track = AudioTrack(sound, SAMPLE_RATE, "flac")
    write_clip(tmp_path / "noise.flac", [], options=ClipOptions(rate=Fraction(1), audio=track))
    encoder = YamnetEncoder(str(network.path), WordEncoder())
    heard = read_audio(tmp_path / "noise.flac", SAMPLE_RATE)
    means = np.stack([network.scores(heard[:WINDOW]), network.scores(np.pad(heard[WINDOW:], (0, WINDOW // 2)))]).mean(0)
    best = best_classes(encoder, tmp_path / "noise.flac", most=3)
    assert [tag.score for tag in best] == pytest.approx(sorted(means, reverse=True)[:3], abs=1e-5)
    assert [tag.label for tag in best] == [encoder.class_names[index] for index in np.argsort(-means)[:3]]


@pytest.mark.data
def test_the_saxophone_is_among_the_five_best_tags_of_its_clip(real: YamnetEncoder) -> None:
    assert "Saxophone" in [tag.label for tag in best_classes(real, gradio_sound("sax.wav"))]


@pytest.mark.data
def test_a_speech_is_heard_as_speech(real: YamnetEncoder) -> None:
    path = DATA / "media" / "jfk.flac"
    assert best_classes(real, path)[0].label == "Speech"
    batch = real.encode_audio(windows_of(read_audio(path, SAMPLE_RATE)))
    assert [tags[0].label for tags in batch.tags] == ["Speech"] * len(batch.tags)


@pytest.mark.data
def test_noise_and_a_tone_and_silence_are_told_apart(real: YamnetEncoder) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(WINDOW) / SAMPLE_RATE)
    sounds = [0.1 * np.random.default_rng(0).standard_normal(WINDOW), tone, np.zeros(WINDOW)]
    tags = real.encode_audio([sound.astype(np.float32) for sound in sounds]).tags
    labels = [{tag.label for tag in each} for each in tags]
    assert labels[0] & {"Static", "White noise", "Noise"}
    assert labels[1] & {"Dial tone", "Sine wave", "Telephone"}
    assert labels[2] == {"Silence"}


@pytest.fixture(scope="module")
def heard(real: YamnetEncoder) -> list[SoundSegment]:
    clips = [gradio_sound("sax.wav"), gradio_sound("cantina.wav")]
    clips += [DATA / "media" / name for name in ("jfk.flac", "big-buck-bunny.mp4", "cockatoo.mp4", "typography.webm")]
    return [segment for clip in clips for segment in sound_segments(clip.stem, [read_audio(clip, SAMPLE_RATE)], real)]


@pytest.mark.data
@pytest.mark.parametrize(
    ("query", "clip"),
    [
        ("saxophone music", "sax"),
        ("people speaking", "jfk"),
        ("bird song", "big-buck-bunny"),
        ("drums", "typography"),
    ],
)
def test_a_query_finds_its_sound_first(real: YamnetEncoder, heard: list[SoundSegment], query: str, clip: str) -> None:
    scores = np.stack([segment.vector for segment in heard]) @ real.encode_texts([query])[0]
    assert heard[int(scores.argmax())].segment.video_id == clip
    assert scores.max() > SIMILARITY_FLOOR


@pytest.mark.data
@pytest.mark.parametrize("query", ["quarterly tax report", "chocolate cake recipe", "how to install a printer"])
def test_a_query_that_names_no_sound_stays_below_the_floor(
    real: YamnetEncoder, heard: list[SoundSegment], query: str
) -> None:
    scores = np.stack([segment.vector for segment in heard]) @ real.encode_texts([query])[0]
    assert scores.max() < SIMILARITY_FLOOR


@pytest.mark.data
def test_a_silent_film_has_no_sounds(heard: list[SoundSegment]) -> None:
    assert "cockatoo" not in {segment.segment.video_id for segment in heard}
