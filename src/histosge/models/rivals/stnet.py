"""ST-Net (He et al. 2020): DenseNet-121 on one window at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.models.base import Crop, ModelCard, Needs
from histosge.models.deep.batches import Sight, Tensors
from histosge.models.deep.system import Deep, Grouping, Outline
from histosge.models.deep.training import Schedule

from .patch_network import Initialisation, Pixels, begin, constants, dihedral, refuse_names, turned

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STNet"]


@dataclass(frozen=True, slots=True)
class STNet(Deep):
    """Configuration; the defaults are the preset ``paper``.

    The original answers the logarithm of a gene's share of all counts; here, as every model does, log1p(CP10k).

    Parameters
    ----------
    crop_um, crop_px
        Width of the window, in µm or (both sources: 224) in pixels of the full-resolution image.
    network_px
        Pixels the window is brought to.
    backbone
        Any of timm's networks.
    initialisation, weights
        ``"imagenet"``, ``"random"``, or ``"auto"``: ImageNet where its weights can be had; a local file of them.
    pixels
        ``"unit"``: divided by 255. ``"measured"``: by mean and deviation of the windows fitted. ``"imagenet"``.
    head
        ``"zero"``: the last layer begins with weights 0 and the mean expression, so that an untrained network answers
        the mean. ``"default"``.
    augment
        Whether windows are mirrored and turned while fitting.
    averaged
        Whether an answer is the mean over the eight ways to turn a window.
    loss
        ``"mean"`` of squares, or ``"batch_sum"``: summed over spots, divided by genes, as the original has it.
    optimiser, learning_rate, weight_decay, batch, epochs
        See :class:`histosge.models.deep.training.Schedule`.
    """

    crop_um: float | None = None
    crop_px: int | None = 224
    network_px: int = 224
    backbone: str = "densenet121"
    initialisation: Initialisation = "auto"
    weights: str | None = None
    pixels: Pixels = "unit"
    head: Literal["zero", "default"] = "default"
    augment: bool = True
    averaged: bool = False
    loss_kind: Literal["mean", "batch_sum"] = "mean"
    optimiser: Literal["adamw", "adam", "sgd"] = "adam"
    learning_rate: float = 1e-5
    weight_decay: float = 1e-3
    batch: int = 128
    epochs: int = 50

    card: ClassVar[ModelCard] = ModelCard(
        "stnet", "DenseNet-121 on a window of tissue (ST-Net).", "he2020stnet", uses_position=False
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": {
            "pixels": "measured",
            "head": "zero",
            "averaged": True,
            "loss_kind": "batch_sum",
            "optimiser": "sgd",
            "learning_rate": 1e-6,
            "weight_decay": 0.0,
            "batch": 32,
        },
        "paper": {},
    }

    def __post_init__(self) -> None:
        self.schedule  # noqa: B018  (refuses bad numbers before any work is done)

    @property
    def needs(self) -> Needs:
        """Windows."""
        return Needs(patch_px=self.network_px, crop=Crop.of(self.crop_um, self.crop_px))

    @property
    def schedule(self) -> Schedule:
        """How long and how fast to learn."""
        return Schedule(self.epochs, self.learning_rate, self.weight_decay, optimiser=self.optimiser)

    @property
    def grouping(self) -> Grouping:
        """Spots one by one."""
        return Grouping(self.batch)

    def network(self, outline: Outline) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.patches import PhotographNetwork

        refuse_names(self.backbone)
        return PhotographNetwork(self.backbone, outline.genes, *constants(self.pixels))

    def prepare(self, network: Any, sight: Sight, wanted: Float[np.ndarray, "n g"]) -> str:
        """Load weights; let the last layer begin at the mean."""
        import torch

        windows = sight.patches if self.pixels == "measured" else None
        remark = begin(network, self.backbone, self.initialisation, self.weights, windows=windows)
        if self.head == "zero":
            with torch.no_grad():
                network.head.weight.zero_()
                network.head.bias.copy_(torch.as_tensor(wanted.mean(axis=0)))
        return remark

    def loss(self, network: Any, seen: Tensors, wanted: torch.Tensor) -> torch.Tensor:
        """Return the squared error on turned windows."""
        seen = seen.seen_as(turned(seen.windows)) if self.augment else seen
        squares: torch.Tensor = (network(seen) - wanted) ** 2
        return squares.mean() if self.loss_kind == "mean" else squares.sum() / wanted.shape[1]

    def answer(self, network: Any, seen: Tensors) -> torch.Tensor:
        """Return the answer, or the mean of eight."""
        import torch

        ways = range(8) if self.averaged else range(1)
        several = [network(seen.seen_as(dihedral(seen.windows, way))) for way in ways]
        return torch.stack(several).mean(0)


ENTRIES = (STNet,)
