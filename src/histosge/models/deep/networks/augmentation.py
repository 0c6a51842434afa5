"""Random changes of patches during training: orientations, and DeepSpaCE's augmentation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["augmented", "oriented", "randomly_oriented"]

_CHANNEL_SHIFT = 20 / 255


def oriented(patches: Tensor, orientation: int) -> Tensor:
    """Return patches in one of the eight orientations of a square (0 to 7); 0 leaves them as they are."""
    mirrored = patches.flip(-1) if orientation >= 4 else patches
    return torch.rot90(mirrored, orientation % 4, dims=(-2, -1))


def randomly_oriented(patches: Tensor) -> Tensor:
    """Return each patch in a random orientation, all eight equally likely."""
    orientations = torch.randint(8, (len(patches),)).tolist()
    return torch.stack([oriented(patch, k) for patch, k in zip(patches, orientations, strict=True)])


def augmented(patches: Tensor) -> Tensor:
    """Return each patch as DeepSpaCE trains on it: oriented, cropped, recoloured; and noise, blur or distortion."""
    change = _augmentation(patches.shape[-1])
    return torch.stack([change(patch) for patch in randomly_oriented(patches)])


def _shifted_channels(patch: Tensor) -> Tensor:
    """Return a patch with values from 0 to 1 whose channels are each shifted by up to 20 of 255 levels."""
    shift = (2 * torch.rand(3, 1, 1) - 1) * _CHANNEL_SHIFT
    return patch + shift.to(patch.device)


@lru_cache(maxsize=2)
def _augmentation(px: int) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    blur = v2.GaussianBlur(3 if px < 16 else 5)
    steps: list[Any] = [
        v2.RandomApply([v2.RandomResizedCrop(px, scale=(0.5, 1.0), antialias=True)], p=0.5),
        # torchvision's colour changes are defined on values from 0 to 1
        v2.Lambda(lambda patch: patch / 255),
        v2.RandomApply([v2.ColorJitter(brightness=0.2, saturation=0.3, hue=0.05)], p=0.5),
        v2.RandomApply([v2.RandomChannelPermutation()], p=0.5),
        v2.RandomApply([v2.Lambda(_shifted_channels)], p=0.5),
        v2.RandomChoice([v2.GaussianNoise(0.0, 0.05), blur, v2.ElasticTransform(20.0)]),
        v2.Lambda(lambda patch: patch.clamp(0, 1) * 255),
    ]
    chain: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return chain
