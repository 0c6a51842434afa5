"""DeepSpaCE (Monjo et al. 2022): VGG16 on one patch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.models.base import ModelCard
from histosge.models.deep.inputs import Batch, NetworkInputs
from histosge.models.scaling import Targets

from .patch_system import LITE0, BackboneSystem, Pixels

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "DeepSpaCE"]


_ORIGINAL: dict[str, Any] = {
    "crop_diameters": 2.5,
    "augment": True,
    "unit_targets": True,
    "validation": 0.2,
    "patience": 5,
    "better_than": "previous",
    "criterion": "correlation",
    "epochs": 50,
}


@dataclass(frozen=True, slots=True)
class DeepSpaCE(BackboneSystem):
    """Configuration; the defaults are the preset ``paper``.

    Differs from the original: it leaves out patches that are mostly white and spots with few counts; here all training
    spots are fitted and every location is predicted. Its targets are counts corrected by SCTransform; here, as in every
    model, log1p(CP10k), whose base no longer matters once a gene is scaled from its range to 0 to 1. Further options
    are those of :class:`~histosge.models.deep.training.TrainingConfig` and
    :class:`~histosge.models.rivals.patch_system.BackboneSystem`. The original has patches 2.5 spot diameters wide (376
    pixels for spots of radius 75), the HisToSGE group's adaptation 112 pixels, and raw pixels in place of ImageNet's
    normalisation, which is a fault.

    Parameters
    ----------
    augment
        Whether training orients, crops, recolours and blurs patches at random.
    last_layer
        Whether only the last layer is trained, and the others keep ImageNet's weights.
    unit_targets
        Whether the network outputs each gene scaled from its range to 0 to 1.
    """

    backbone: str = "vgg16"
    # torchvision's VGG16, which both sources take
    dropout: float = 0.5
    pixels: Pixels = "imagenet"
    augment: bool = False
    last_layer: bool = False
    unit_targets: bool = False
    optimiser: Literal["adamw", "adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    batch: int = 128
    epochs: int = 500

    card: ClassVar[ModelCard] = ModelCard(
        "deepspace",
        "VGG16 on a patch of tissue (DeepSpaCE).",
        "monjo2022deepspace",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": _ORIGINAL,
        "paper": {},
        # `original` on a backbone whose weights of ImageNet a package holds
        "lite0": _ORIGINAL | LITE0,
    }

    def targets_of(self, expression: Float[np.ndarray, "n g"]) -> Targets:
        """Return expression, or its position in each gene's range, from 0 to 1."""
        if not self.unit_targets:
            return Targets.of(expression, "raw")
        extent = np.ptp(expression, axis=0)
        # a constant gene keeps its unit: its range is 0
        return Targets(expression.min(axis=0), np.where(extent > 0, extent, 1.0))

    def initialise(self, network: Any, inputs: NetworkInputs, targets: Float[np.ndarray, "n t"]) -> str:
        """Load weights; freeze all but the last layer where that is an option."""
        initialisation = BackboneSystem.initialise(self, network, inputs, targets)
        if self.last_layer:
            # the head is part of the body, so that it is enabled again
            network.body.requires_grad_(False)
            network.head.requires_grad_(True)
        return initialisation

    def validation_loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the smooth L1 error."""
        import torch

        return torch.nn.functional.smooth_l1_loss(outputs, targets)

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the smooth L1 error."""
        import torch

        from histosge.models.deep.networks.augmentation import augmented

        trained = batch.with_patches(augmented(batch.images)) if self.augment else batch
        return torch.nn.functional.smooth_l1_loss(network(trained), targets)


ENTRIES = (DeepSpaCE,)
