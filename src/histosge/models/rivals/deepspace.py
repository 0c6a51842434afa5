"""DeepSpaCE (Monjo et al. 2022): VGG16 on one window at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError
from histosge.models.base import Crop, ModelCard, Needs
from histosge.models.deep.batches import Sight, Tensors
from histosge.models.deep.system import Deep, Grouping, Outline
from histosge.models.deep.training import Schedule

from .patch_network import Initialisation, Pixels, altered, begin, constants, refuse_names

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "DeepSpaCE"]


@dataclass(frozen=True, slots=True)
class DeepSpaCE(Deep):
    """Configuration; the defaults are the preset ``paper``.

    The original leaves out windows that are mostly white, and spots with few counts; here every spot is predicted,
    and those given are fitted. Its early stopping compares an epoch with the one before; here with the best.

    Parameters
    ----------
    crop_um, crop_px
        Width of the window, in µm or in pixels of the full-resolution image (original: 376, the group's: 112).
    network_px
        Pixels the window is brought to.
    backbone
        Any of timm's networks.
    initialisation, weights
        ``"imagenet"``, ``"random"``, or ``"auto"``: ImageNet where its weights can be had; a local file of them.
    pixels
        ``"imagenet"``; ``"raw"`` (0 to 255) is a fault of the group's adaptation.
    augment
        Whether windows are turned, cropped, coloured, blurred while fitting.
    last_layer
        Whether all but the last layer stays as ImageNet left it.
    unit_targets
        Whether the network answers each gene's share of its range.
    validation, patience
        Share of the spots kept back, and epochs without a better loss after which to stop.
    learning_rate, weight_decay, batch, epochs
        See :class:`histosge.models.deep.training.Schedule`.
    """

    crop_um: float | None = None
    crop_px: int | None = 112
    network_px: int = 224
    backbone: str = "vgg16"
    initialisation: Initialisation = "auto"
    weights: str | None = None
    pixels: Pixels = "imagenet"
    augment: bool = False
    last_layer: bool = False
    unit_targets: bool = False
    validation: float = 0.0
    patience: int | None = None
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    batch: int = 128
    epochs: int = 500

    card: ClassVar[ModelCard] = ModelCard(
        "deepspace", "VGG16 on a window of tissue (DeepSpaCE).", "monjo2022deepspace", uses_position=False
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": {
            "crop_px": 376,
            "augment": True,
            "unit_targets": True,
            "validation": 0.2,
            "patience": 5,
            "epochs": 50,
        },
        "paper": {},
    }

    def __post_init__(self) -> None:
        if self.patience is not None and self.validation == 0:
            raise UsageError(
                "Early stopping needs spots kept back: set `validation` to 0.2, or `patience` to none."
            )
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Windows."""
        return Needs(patch_px=self.network_px, crop=Crop.of(self.crop_um, self.crop_px))

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        rate, decay = self.learning_rate, self.weight_decay
        return Schedule(self.epochs, rate, decay, patience=self.patience, optimiser="adam")

    @property
    def grouping(self) -> Grouping:
        """Spots one by one."""
        return Grouping(self.batch)

    @property
    def held_back(self) -> float:
        """Share of the spots kept back."""
        return self.validation

    @property
    def scaling(self) -> Literal["none", "unit"]:
        """Whether the network answers shares of each gene's range."""
        return "unit" if self.unit_targets else "none"

    def network(self, outline: Outline) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.patches import PhotographNetwork

        refuse_names(self.backbone)
        return PhotographNetwork(self.backbone, outline.genes, *constants(self.pixels))

    def prepare(self, network: Any, sight: Sight, wanted: Float[np.ndarray, "n g"]) -> str:
        """Load weights; freeze all but the last layer where that is wanted."""
        windows = sight.patches if self.pixels == "measured" else None
        remark = begin(network, self.backbone, self.initialisation, self.weights, windows=windows)
        if self.last_layer:
            network.body.requires_grad_(False)
            network.head.requires_grad_(True)
        return remark

    def loss(self, network: Any, seen: Tensors, wanted: torch.Tensor) -> torch.Tensor:
        """Return the smooth L1 error."""
        import torch

        seen = seen.seen_as(altered(seen.windows)) if self.augment else seen
        return torch.nn.functional.smooth_l1_loss(network(seen), wanted)


ENTRIES = (DeepSpaCE,)
