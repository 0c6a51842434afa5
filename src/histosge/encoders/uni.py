"""UNI: a ViT-L/16 taught by DINOv2 on 100 000 slides; the paper's encoder."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network

__all__ = ["ENTRIES", "UNI"]

UNI = NetworkSpec(
    card=EncoderCard(
        name="uni",
        dim=1024,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="CC-BY-NC-ND-4.0 and terms of use that count features and models trained on them as derivatives",
        gated=True,
        source="MahmoodLab/UNI",
        revision=None,
        citation="chen2024uni",
        summary="ViT-L/16 trained by DINOv2 on 100 million patches of 100 000 H&E slides; the paper's encoder.",
    ),
    network=partial(
        timm_network,
        "vit_large_patch16_224",
        img_size=224,
        patch_size=16,
        # any value: it makes timm create the LayerScale parameters that the weights then fill
        init_values=1e-5,
        num_classes=0,
        dynamic_img_size=True,
    ),
    files=("pytorch_model.bin",),
)

ENTRIES = (UNI.entry,)
