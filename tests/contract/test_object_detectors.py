"""What every object detector promises, whichever network is behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from indexer.models.base import Detection, ObjectDetector
from indexer.models.detr import DetrDetector
from indexer.models.yolo import YoloDetector
from tests.unit.indexer.models import tiny_detr, tiny_yolo
from tests.unit.indexer.models.tiny_yolo import LABELS, SIDE, picture

# Only looked for: importing it here would ask the network and write settings.
needs_ultralytics = pytest.mark.skipif(find_spec("ultralytics") is None, reason="the extra 'objects' is not installed")

DETR = {"d-fine": tiny_detr.save_d_fine, "rt-detr": tiny_detr.save_rt_detr}
CHECKPOINTS = ["yolo11", "yolov8", "yolo26"]
EXPORTS = {"onnx": False, "onnx-dynamic": True}
# The tiny networks of YOLO are made by ultralytics, so that is needed for exports too.
FAMILIES = [*DETR, *(pytest.param(name, marks=needs_ultralytics) for name in ("yolo11", "yolo26", *EXPORTS))]
CONFIDENCE = 0.3
PICTURES = [
    picture(48, 64, 1),
    picture(64, 48, 2),
    picture(48, 64, 3),
    picture(300, 500, 4),
    picture(1, 1, 5),
    picture(3, 64, 7),
    picture(SIDE, SIDE, 6),
]

Detector = DetrDetector | YoloDetector


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


def saved(kind: str, root: Path) -> Path:
    """The tiny network of that kind, made the first time."""
    path = root / f"{kind}{'' if kind in DETR else '.onnx' if kind in EXPORTS else '.pt'}"
    if path.exists():
        return path
    if kind in DETR:
        return DETR[kind](path)
    if kind in EXPORTS:
        return tiny_yolo.export(tiny_yolo.network("yolo11"), path, dynamic=EXPORTS[kind])
    return tiny_yolo.save(tiny_yolo.network(kind), path)


def build(path: Path | str, confidence: float = CONFIDENCE) -> Detector:
    made = DetrDetector if Path(path).is_dir() else YoloDetector
    return made(str(path), device="cpu", confidence=confidence, batch_size=2)


@pytest.fixture(scope="module", params=FAMILIES)
def detector(request: pytest.FixtureRequest, root: Path) -> Detector:
    return build(saved(request.param, root))


def agree(ours: list[Detection], theirs: list[Detection], tolerance: float = 1e-3) -> None:
    """The same objects; of equally sure ones, in any order."""
    assert len(ours) == len(theirs)
    for one, other in zip(_ordered(ours), _ordered(theirs), strict=True):
        assert (one.label, one.class_index) == (other.label, other.class_index)
        assert one.confidence == pytest.approx(other.confidence, abs=tolerance)
        assert one.box == pytest.approx(other.box, abs=tolerance)


def _ordered(detections: list[Detection]) -> list[Detection]:
    return sorted(detections, key=lambda seen: (seen.class_index, *np.round(seen.box, 2), seen.confidence))


def test_it_is_an_object_detector(detector: Detector) -> None:
    assert isinstance(detector, ObjectDetector)


def test_labels_are_the_networks_own(detector: Detector) -> None:
    assert detector.labels == LABELS
    assert detector.fingerprint.dim == len(LABELS)


def test_labels_are_known_without_loading_where_the_file_is_data(detector: Detector) -> None:
    fresh = build(detector.name)
    assert fresh.labels == LABELS
    assert fresh.fingerprint == detector.fingerprint
    assert fresh.loaded == detector.name.endswith(".pt")


def test_something_is_found_and_its_facts_are_in_range(detector: Detector) -> None:
    found = detector.detect(PICTURES)
    assert len(found) == len(PICTURES)
    assert len({seen.label for objects in found for seen in objects}) > 1
    for seen in (seen for objects in found for seen in objects):
        assert seen.label == LABELS[seen.class_index]
        assert CONFIDENCE < seen.confidence <= 1
        left, top, right, bottom = seen.box
        assert 0 <= left <= right <= 1
        assert 0 <= top <= bottom <= 1


def test_the_surest_comes_first(detector: Detector) -> None:
    for objects in detector.detect(PICTURES):
        confidences = [seen.confidence for seen in objects]
        assert confidences == sorted(confidences, reverse=True)


def test_a_picture_does_not_depend_on_its_neighbours(detector: Detector) -> None:
    together = detector.detect(PICTURES)
    for image, objects in zip(PICTURES, together, strict=True):
        agree(detector.detect([image])[0], objects, 1e-4)


def test_none_gives_none(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_a_higher_threshold_keeps_the_surest(detector: Detector) -> None:
    strict = build(detector.name, 0.6)
    kept, loose = strict.detect(PICTURES), detector.detect(PICTURES)
    assert sum(map(len, kept)) < sum(map(len, loose))
    for few, many in zip(kept, loose, strict=True):
        agree(few, [seen for seen in many if seen.confidence > 0.6])


def test_the_threshold_is_part_of_the_fingerprint(detector: Detector) -> None:
    strict = build(detector.name, 0.6)
    assert detector.fingerprint == build(detector.name).fingerprint
    assert detector.fingerprint.digest != strict.fingerprint.digest
    assert detector.fingerprint.weights == strict.fingerprint.weights


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_are_refused(detector: Detector, channels: int) -> None:
    with pytest.raises(ValueError, match="RGB"):
        detector.detect([np.zeros((8, 8, channels), np.uint8)])


def test_it_loads_again_after_unloading(detector: Detector) -> None:
    before = detector.detect(PICTURES[:1])
    detector.load()
    detector.load()
    assert detector.loaded
    detector.unload()
    assert not detector.loaded
    assert detector.detect(PICTURES[:1]) == before


def test_several_threads_find_the_same(detector: Detector) -> None:
    alone = detector.detect(PICTURES)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(detector.detect, PICTURES) for _ in range(3)]
        for job in jobs:
            for ours, theirs in zip(job.result(), alone, strict=True):
                agree(ours, theirs, 1e-4)


def test_pictures_are_red_green_blue(detector: Detector) -> None:
    swapped = [np.ascontiguousarray(image[..., ::-1]) for image in PICTURES]
    assert detector.detect(swapped) != detector.detect(PICTURES)


def own(path: Path, images: list[np.ndarray], *, square: bool) -> list[list[Detection]]:
    """What ultralytics' own predictor says about each picture alone, in our terms."""
    from ultralytics import YOLO

    model = YOLO(path, task="detect")
    found = []
    for image in images:
        blue_first = np.ascontiguousarray(image[..., ::-1])
        seen = model.predict(blue_first, conf=CONFIDENCE, imgsz=SIDE, device="cpu", verbose=False, rect=not square)
        boxes = seen[0].boxes
        rows = zip(boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxyn.tolist(), strict=True)
        found.append([Detection(LABELS[int(number)], int(number), sure, tuple(box)) for number, sure, box in rows])
    return found


@needs_ultralytics
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_boxes_are_those_of_ultralytics(kind: str, root: Path) -> None:
    path = saved(kind, root)
    for ours, theirs in zip(build(path).detect(PICTURES), own(path, PICTURES, square=False), strict=True):
        agree(ours, theirs)


@needs_ultralytics
@pytest.mark.parametrize("kind", EXPORTS)
def test_an_exported_network_finds_what_the_network_finds(kind: str, root: Path) -> None:
    expected = own(saved("yolo11", root), PICTURES, square=True)
    for ours, theirs in zip(build(saved(kind, root)).detect(PICTURES), expected, strict=True):
        agree(ours, theirs)


@pytest.mark.parametrize("kind", DETR)
def test_the_boxes_are_those_of_transformers(kind: str, root: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    folder = saved(kind, root)
    processor = AutoImageProcessor.from_pretrained(folder)
    network = AutoModelForObjectDetection.from_pretrained(folder).eval()
    for image, ours in zip(PICTURES, build(folder).detect(PICTURES), strict=True):
        height, width = image.shape[:2]
        prepared = processor(images=image, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            output = network(**prepared)
        found = processor.post_process_object_detection(output, threshold=CONFIDENCE, target_sizes=[(height, width)])[0]
        boxes = (found["boxes"] / torch.tensor([width, height, width, height])).clamp(0, 1)
        rows = zip(found["labels"].tolist(), found["scores"].tolist(), boxes.tolist(), strict=True)
        agree(ours, [Detection(LABELS[number], number, sure, tuple(box)) for number, sure, box in rows])
