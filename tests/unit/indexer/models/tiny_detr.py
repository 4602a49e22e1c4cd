"""Tiny detectors of the real architectures of transformers, saved as it saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexer.models.library_output import quiet_libraries
from tests.unit.indexer.models.tiny_yolo import LABELS

SIDE = 64
_SHARED: dict[str, Any] = {
    "encoder_hidden_dim": 16,
    "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "d_model": 16,
    "num_queries": 12,
    "decoder_in_channels": [16, 16, 16],
    "decoder_ffn_dim": 16,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
}


def save_d_fine(folder: Path, *, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Path:
    """A D-FINE with random weights whose boxes and confidences depend on the image."""
    from transformers import DFineConfig, DFineForObjectDetection
    from transformers.models.hgnet_v2 import HGNetV2Config

    backbone = HGNetV2Config(
        stem_channels=[3, 4, 8],
        stage_in_channels=[8, 8, 16, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 16, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 16, 16],
        depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = DFineConfig(
        backbone_config=backbone, encoder_in_channels=[16, 16, 16], id2label=dict(enumerate(labels)), **_SHARED
    )
    return _save(DFineForObjectDetection, config, folder, seed)


def save_rt_detr(folder: Path, *, seed: int = 0) -> Path:
    """An RT-DETR with random weights."""
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone, encoder_in_channels=[16, 16, 16], id2label=dict(enumerate(LABELS)), **_SHARED
    )
    return _save(RTDetrForObjectDetection, config, folder, seed)


def _save(kind: Any, config: Any, folder: Path, seed: int) -> Path:
    import torch
    from transformers import RTDetrImageProcessor

    torch.manual_seed(seed)
    with quiet_libraries():
        network = kind(config).eval()
        for name, weights in network.named_parameters():
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=0.6 if "class_embed" in name else 0.2)
            elif "class_embed" in name:
                torch.nn.init.constant_(weights, -3)
        network.save_pretrained(folder)
        RTDetrImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder
