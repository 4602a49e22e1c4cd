"""Tiny models of sound, saved in the formats of the real ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

CLASS_NAMES = ("Speech", "Music", "Saxophone", "Bird", "Silence", "Static", "Child speech, kid speaking")
YAMNET_WINDOW, YAMNET_HIDDEN = 15_600, 4
CLAP_DIM, CLAP_CONTEXT, CLAP_RATE = 24, 34, 8_000


@dataclass(frozen=True)
class TinyYamnet:
    """A network of YAMNet's shape, ``sigmoid(classes @ (samples @ sound))``, and where it was saved."""

    path: Path
    samples: NDArray[np.float32]
    classes: NDArray[np.float32]

    def scores(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says of a whole window, computed by hand."""
        return 1 / (1 + np.exp(-(self.classes @ (self.samples @ window))))


def save_yamnet(path: Path, *, window: int = YAMNET_WINDOW, names: tuple[str, ...] = CLASS_NAMES) -> TinyYamnet:
    """A TFLite file that takes ``window`` samples and scores each of the names, without the names."""
    random = np.random.default_rng(0)
    samples = random.normal(0, 0.1, (YAMNET_HIDDEN, window)).astype(np.float32)
    classes = random.normal(0, 0.5, (len(names), YAMNET_HIDDEN)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_flatbuffer(samples, classes))
    return TinyYamnet(path, samples, classes)


def write_class_map(path: Path, names: tuple[str, ...] = CLASS_NAMES) -> Path:
    """The names as TensorFlow's YAMNet writes them beside its network."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["index", "mid", "display_name"])
        rows.writerows([index, f"/m/{index}", name] for index, name in enumerate(names))
    return path


def put_names_inside(path: Path, names: tuple[str, ...] = CLASS_NAMES) -> None:
    """The names as TFLite's metadata holds them: in an archive at the end of the file."""
    with ZipFile(path, "a") as archive:
        archive.writestr("yamnet_label_list.txt", "\n".join(names) + "\n")


def _flatbuffer(samples: NDArray[np.float32], classes: NDArray[np.float32]) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    hidden, window = samples.shape
    count = len(classes)
    shapes = [("waveform", [window]), ("row", [1, window]), ("samples", [hidden, window]), ("hidden", [1, hidden])]
    shapes += [("classes", [count, hidden]), ("logits", [1, count]), ("scores", [1, count])]
    weights = {"samples": samples, "classes": classes}
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT()], [graph]
    graph.tensors = [_tensor(schema, model, name, shape, weights.get(name)) for name, shape in shapes]
    shape = np.array([1, window], np.int32)
    graph.tensors.append(_tensor(schema, model, "shape", [2], shape, schema.TensorType.INT32))
    kinds = schema.BuiltinOperator
    model.operatorCodes = [_code(schema, kind) for kind in (kinds.RESHAPE, kinds.FULLY_CONNECTED, kinds.LOGISTIC)]
    graph.operators = [
        _operator(schema, 0, [0, 7], 1),
        _operator(schema, 1, [1, 2, -1], 3, schema.BuiltinOptions.FullyConnectedOptions),
        _operator(schema, 1, [3, 4, -1], 5, schema.BuiltinOptions.FullyConnectedOptions),
        _operator(schema, 2, [5], 6),
    ]
    graph.inputs, graph.outputs = [0], [6]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: Any, model: Any, name: str, shape: list[int], values: Any, kind: int = 0) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
    if values is not None:
        stored = schema.BufferT()
        stored.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(stored)
        tensor.buffer = len(model.buffers) - 1
    return tensor


def _code(schema: Any, kind: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    code.version = 1
    return code


def _operator(schema: Any, code: int, inputs: list[int], output: int, options: int = 0) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
    if options:
        operator.builtinOptionsType, operator.builtinOptions = options, schema.FullyConnectedOptionsT()
    return operator


def save_clap(folder: Path, *, seed: int = 0, fused: bool = False, newer: bool = False) -> Path:
    """A CLAP model with random weights for windows of a second at 8 kHz.

    Args:
        folder: Made here.
        seed: Of the weights.
        fused: With the layers for sounds that are too long.
        newer: Save the processor as newer versions of transformers do, in one file.
    """
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizerFast

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = RobertaTokenizerFast(tokenizer_file=str(_save_bpe(folder)), model_max_length=CLAP_CONTEXT)
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"intermediate_size": 64, "max_position_embeddings": CLAP_CONTEXT + 2}
    sound = {"spec_size": 128, "num_mel_bins": 64, "hidden_size": 32, "patch_embeds_hidden_size": 4, "window_size": 4}
    sound |= {"depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 2], "enable_fusion": fused}
    sound |= {"fusion_type": "aff_2d"} if fused else {}
    config = ClapConfig(text_config=text, audio_config=sound, projection_dim=CLAP_DIM)
    ClapModel(config).eval().save_pretrained(folder)
    hearing = ClapFeatureExtractor(
        max_length_s=1,
        sampling_rate=CLAP_RATE,
        hop_length=64,
        frequency_max=4_000,
        truncation="fusion" if fused else "rand_trunc",
    )
    if newer:
        ClapProcessor(hearing, tokenizer).save_pretrained(folder)
    else:
        tokenizer.save_pretrained(folder)
        hearing.save_pretrained(folder)
    return folder


def _save_bpe(folder: Path) -> Path:
    from tokenizers import ByteLevelBPETokenizer

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = ByteLevelBPETokenizer()
    texts = ["the sound of a dog barking", "people speaking", "saxophone music"]
    tokenizer.train_from_iterator(texts, vocab_size=300, special_tokens=marks, show_progress=False)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path
