"""H-optimus-0 and H-optimus-1: ViT-g/14 with registers and a normalisation of their own."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import NetworkSpec, timm_network

__all__ = ["ENTRIES", "HOPTIMUS0", "HOPTIMUS1"]

_MEAN = (0.707223, 0.578729, 0.703617)
_STD = (0.211883, 0.230117, 0.177517)

_vit_giant = partial(
    timm_network,
    "vit_giant_patch14_reg4_dinov2",
    img_size=224,
    global_pool="token",
    init_values=1e-5,
    num_classes=0,
    dynamic_img_size=True,
)

HOPTIMUS0 = NetworkSpec(
    card=EncoderCard(
        name="hoptimus0",
        dim=1536,
        patches=(PatchSize(112.0, 224),),
        mean=_MEAN,
        std=_STD,
        licence="Apache-2.0; not verified",
        # the hub has asked for an account's agreement at times; a refusal is answered with the way to ask
        gated=False,
        source="bioptimus/H-optimus-0",
        revision=None,
        citation="saillard2024hoptimus0",
        summary="ViT-g/14 with 4 registers, trained by DINOv2 on 500 000 H&E slides.",
    ),
    network=_vit_giant,
    files=("pytorch_model.bin", "model.safetensors"),
    interpolation="bicubic",
)

HOPTIMUS1 = NetworkSpec(
    card=EncoderCard(
        name="hoptimus1",
        dim=1536,
        patches=(PatchSize(112.0, 224),),
        mean=_MEAN,
        std=_STD,
        licence="CC-BY-NC-ND-4.0; not verified",
        gated=True,
        source="bioptimus/H-optimus-1",
        revision=None,
        citation="bioptimus2025hoptimus1",
        summary="ViT-g/14 with 4 registers, trained on more than a million slides of 800 000 patients.",
    ),
    network=_vit_giant,
    files=("pytorch_model.bin", "model.safetensors"),
    interpolation="bicubic",
)

ENTRIES = (HOPTIMUS0.entry, HOPTIMUS1.entry)
