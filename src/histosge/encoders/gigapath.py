"""Prov-GigaPath's tile encoder: ViT-g with patches of 16 pixels."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network

__all__ = ["ENTRIES", "GIGAPATH"]

GIGAPATH = NetworkSpec(
    card=EncoderCard(
        name="gigapath",
        dim=1536,
        # published for tiles of 256 px at 0.5 µm/px of whose middle the network reads 224 px: the same patch
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="the authors' own terms, for research; not verified",
        gated=True,
        source="prov-gigapath/prov-gigapath",
        revision=None,
        citation="xu2024gigapath",
        summary="Tile encoder of Prov-GigaPath: ViT-g trained by DINOv2 on 1.3 billion tiles of 171 189 slides.",
    ),
    network=partial(
        timm_network,
        "vit_giant_patch14_dinov2",
        img_size=224,
        patch_size=16,
        embed_dim=1536,
        depth=40,
        num_heads=24,
        init_values=1e-5,
        mlp_ratio=5.33334,
        num_classes=0,
    ),
    files=("pytorch_model.bin",),
    interpolation="bicubic",
)

ENTRIES = (GIGAPATH.entry,)
