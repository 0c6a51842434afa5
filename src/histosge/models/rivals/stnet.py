"""ST-Net (He et al. 2020): DenseNet-121 on one patch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError
from histosge.models.base import ModelCard, Runtime
from histosge.models.deep.epochs_by_folds import epochs_by_folds
from histosge.models.deep.inputs import Batch, NetworkInputs
from histosge.models.deep.predictor import DeepPredictor
from histosge.section.inputs import Samples

from .patch_system import LITE0, BackboneSystem

if TYPE_CHECKING:
    import torch

__all__ = ["ENTRIES", "STNet"]


_ORIGINAL: dict[str, Any] = {
    "pixels": "measured",
    "head": "zero",
    "averaged": True,
    "loss_kind": "batch_sum",
    "optimiser": "sgd",
    "learning_rate": 1e-6,
    "weight_decay": 0.0,
    "batch": 32,
    "folds": 4,
}


@dataclass(frozen=True, slots=True)
class STNet(BackboneSystem):
    """Configuration; the defaults are the preset ``paper``.

    Differs from the paper: it predicts the logarithm of a gene's share of all counts; here, as in every model,
    log1p(CP10k). Further options are those of :class:`~histosge.models.deep.training.TrainingConfig` and
    :class:`~histosge.models.rivals.patch_system.BackboneSystem`; both sources have patches of 224 pixels.

    Parameters
    ----------
    folds
        Parts of the spots by which the number of epochs is chosen, up to ``epochs``: each is predicted from the others,
        and the epoch with the least squared error over all of them is the last of the fit (original: 4, of patients).
        ``None``: all epochs.
    head
        First weights of the last layer. ``"zero"``: weights 0 and the mean expression as bias, so that an untrained
        network predicts the mean. ``"default"``: random.
    augment
        Whether training orients patches at random.
    averaged
        Whether a prediction is the mean over the eight orientations of a patch.
    loss_kind
        ``"mean"`` of squared errors, or ``"batch_sum"``: their sum over spots, divided by the number of genes
        (original).
    """

    crop_px: int | None = 224
    folds: int | None = None
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
        "stnet", "DenseNet-121 on a patch of tissue (ST-Net).", "he2020stnet", uses_position=False, deep=True
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "original": _ORIGINAL,
        "paper": {},
        # `original` on a backbone whose weights of ImageNet a package holds
        "lite0": _ORIGINAL | LITE0,
    }

    def validate(self) -> None:
        """Refuse fewer than two folds."""
        if self.folds is not None and self.folds < 2:
            raise UsageError(f"`folds` must be 2 or more, or none; got {self.folds}.")

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> DeepPredictor:
        """Train the network; the number of epochs is chosen first where that is an option."""
        if self.folds is None:
            return BackboneSystem.fit(self, samples, seed=seed, runtime=runtime)
        epochs = epochs_by_folds(self, samples, self.folds, seed=seed, runtime=runtime)
        fixed = replace(self, folds=None, epochs=epochs, warmup=min(self.warmup, epochs))
        predictor = BackboneSystem.fit(fixed, samples, seed=seed, runtime=runtime)
        return replace(predictor, model=self)

    def initialise(self, network: Any, inputs: NetworkInputs, targets: Float[np.ndarray, "n t"]) -> str:
        """Load weights; set the last layer to the mean expression where that is an option."""
        import torch

        initialisation = BackboneSystem.initialise(self, network, inputs, targets)
        if self.head == "zero":
            with torch.no_grad():
                network.head.weight.zero_()
                network.head.bias.copy_(torch.as_tensor(targets.mean(axis=0)))
        return initialisation

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the squared error on randomly oriented patches."""
        from histosge.models.deep.networks.augmentation import randomly_oriented

        trained = batch.with_patches(randomly_oriented(batch.images)) if self.augment else batch
        squares: torch.Tensor = (network(trained) - targets) ** 2
        # the sum over spots, divided by genes, makes steps grow with the batch (original)
        return squares.mean() if self.loss_kind == "mean" else squares.sum() / targets.shape[1]

    def outputs(self, network: Any, batch: Batch) -> torch.Tensor:
        """Return the output, or the mean output of eight orientations."""
        import torch

        from histosge.models.deep.networks.augmentation import oriented

        # tissue has no preferred orientation, so that the mean of eight outputs has less variance
        orientations = range(8) if self.averaged else range(1)
        outputs = [network(batch.with_patches(oriented(batch.images, k))) for k in orientations]
        return torch.stack(outputs).mean(0)


ENTRIES = (STNet,)
