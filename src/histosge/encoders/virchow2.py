"""Virchow and Virchow2: ViT-H/14 whose vector joins the class token and the mean of the patch tokens."""

from __future__ import annotations

from functools import partial

from .base import EncoderCard, PatchSize
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkSpec, timm_network
from .weights import Module, Tensor

__all__ = ["ENTRIES", "VIRCHOW", "VIRCHOW2"]


def _class_and_mean(network: Module, pixels: Tensor) -> Tensor:
    """Return the class token beside the mean of the patch tokens; registers are passed over."""
    import torch

    # mean in float32 also under autocast
    tokens = network(pixels).float()
    patches = tokens[:, network.num_prefix_tokens :]
    return torch.cat([tokens[:, 0], patches.mean(dim=1)], dim=1)


_vit_huge = partial(
    timm_network,
    "vit_huge_patch14_224",
    swiglu=True,
    img_size=224,
    init_values=1e-5,
    num_classes=0,
    mlp_ratio=5.3375,
    # all tokens, unpooled
    global_pool="",
    dynamic_img_size=True,
)

VIRCHOW = NetworkSpec(
    card=EncoderCard(
        name="virchow",
        dim=2560,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="Apache-2.0",
        gated=True,
        source="paige-ai/Virchow",
        revision=None,
        citation="vorontsov2024virchow",
        summary="ViT-H/14 trained by DINOv2 on 1.5 million H&E slides; class token and mean of patch tokens.",
    ),
    network=_vit_huge,
    files=("pytorch_model.bin",),
    readout=_class_and_mean,
    interpolation="bicubic",
)

VIRCHOW2 = NetworkSpec(
    card=EncoderCard(
        name="virchow2",
        dim=2560,
        patches=(PatchSize(112.0, 224),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        source="paige-ai/Virchow2",
        revision=None,
        citation="zimmermann2024virchow2",
        summary="ViT-H/14 with 4 registers, trained on 3.1 million slides of many stains and magnifications.",
    ),
    network=partial(_vit_huge, reg_tokens=4),
    files=("pytorch_model.bin",),
    readout=_class_and_mean,
    interpolation="bicubic",
)

ENTRIES = (VIRCHOW.entry, VIRCHOW2.entry)
