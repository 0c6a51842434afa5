"""Phikon and Phikon-v2: published for the ``transformers`` library, built here as the same timm networks."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network
from .weights import Module, State, Tensor

__all__ = ["ENTRIES", "PHIKON", "PHIKON2"]

# transformers' names of a ViT's and a DINOv2's tensors, and timm's
_NAMES = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.(?:layernorm_before|norm1)\.", ".norm1."),
    (r"\.(?:layernorm_after|norm2)\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
)
_ATTENTION = re.compile(r"^encoder\.layer\.(\d+)\.attention\.attention\.query\.(weight|bias)$")
_PARTS = ("query", "key", "value")

# the first is for pre-training by masking, the others belong to heads that no vector passes
_UNUSED = re.compile(r"^embeddings\.mask_token$|^pooler\.|^classifier\.")


def _timm_names(state: State) -> State:
    """Return the tensors of transformers' ViT or DINOv2 under timm's names, query, key and value joined."""
    import torch

    plain = {re.sub(r"^(?:vit|dinov2)\.", "", key): value for key, value in state.items()}
    renamed: dict[str, Tensor] = {}
    for key, value in plain.items():
        if _UNUSED.search(key) or re.search(r"\.attention\.attention\.(?:key|value)\.", key):
            continue
        if match := _ATTENTION.match(key):
            parts = [plain[part] for word in _PARTS if (part := key.replace("query", word)) in plain]
            # where one is absent the joined tensor has another shape, which strict loading reports
            renamed[f"blocks.{match[1]}.attn.qkv.{match[2]}"] = torch.cat(parts)
            continue
        for pattern, replacement in _NAMES:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def _vit_base(**options: Any) -> Module:
    from torch import nn

    # transformers' ViT adds 1e-12 to a variance where timm's adds 1e-6
    norm = partial(nn.LayerNorm, eps=1e-12)
    return timm_network("vit_base_patch16_224", **{"num_classes": 0, "norm_layer": norm, **options})


_LICENCE = "Owkin non-commercial licence"

PHIKON = NetworkSpec(
    card=EncoderCard(
        name="phikon",
        dim=768,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence=_LICENCE,
        gated=False,
        source="owkin/phikon",
        revision=None,
        citation="filiot2023phikon",
        summary="ViT-B/16 trained by iBOT on 40 million tiles of TCGA.",
    ),
    network=_vit_base,
    files=("pytorch_model.bin", "model.safetensors"),
    convert=_timm_names,
)

PHIKON2 = NetworkSpec(
    card=EncoderCard(
        name="phikon2",
        dim=1024,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence=f"{_LICENCE}; whether access is gated is not verified",
        gated=False,
        source="owkin/phikon-v2",
        revision=None,
        citation="filiot2024phikonv2",
        summary="Phikon-v2: ViT-L/16 trained by DINOv2 on 460 million tiles of public collections.",
    ),
    network=partial(timm_network, "vit_large_patch16_224", init_values=1e-5, num_classes=0),
    files=("model.safetensors", "pytorch_model.bin"),
    convert=_timm_names,
)

ENTRIES = (PHIKON.entry, PHIKON2.entry)
