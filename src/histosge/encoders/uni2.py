"""UNI2-h: the successor of UNI, with registers and gated perceptrons."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network

__all__ = ["ENTRIES", "UNI2"]

UNI2 = NetworkSpec(
    card=EncoderCard(
        name="uni2",
        dim=1536,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        source="MahmoodLab/UNI2-h",
        revision=None,
        citation="chen2024uni",
        summary="UNI2-h: ViT-H/14 with 8 registers, the successor of UNI.",
    ),
    network=partial(
        timm_network,
        "vit_giant_patch14_224",
        swiglu=True,
        img_size=224,
        patch_size=14,
        depth=24,
        num_heads=24,
        init_values=1e-5,
        embed_dim=1536,
        mlp_ratio=2.66667 * 2,
        num_classes=0,
        no_embed_class=True,
        reg_tokens=8,
        dynamic_img_size=True,
    ),
    files=("pytorch_model.bin",),
)

ENTRIES = (UNI2.entry,)
