"""Augmentation of patches."""

from __future__ import annotations

import torch

from histosge.models.deep.networks.augmentation import augmented, oriented, randomly_oriented


def test_a_square_has_eight_orientations() -> None:
    """All orientations differ, and a random one is one of them."""
    patch = torch.arange(9.0).view(1, 1, 3, 3)
    orientations = {tuple(oriented(patch, k).flatten().tolist()) for k in range(8)}
    assert len(orientations) == 8
    assert tuple(randomly_oriented(patch).flatten().tolist()) in orientations


def test_augmented_patches_keep_their_shape_and_range() -> None:
    """DeepSpaCE's augmentation changes patches within 0 to 255, and repeats with the seed."""
    patches = torch.rand(6, 3, 32, 32) * 255
    torch.manual_seed(0)
    changed = augmented(patches)
    torch.manual_seed(0)
    assert torch.equal(changed, augmented(patches))
    assert changed.shape == patches.shape
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not torch.allclose(changed, patches)
