"""BLEEP (Xie et al. 2023): image and expression in one space; the mean of the most similar spots is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard
from histosge.models.deep.retrieval import RetrievalSystem

if TYPE_CHECKING:
    import torch

__all__ = ["BLEEP"]


@dataclass(frozen=True, slots=True)
class BLEEP(RetrievalSystem):
    """Configuration; further options are those of :class:`~histosge.models.deep.training.TrainingConfig`.

    The original trains a ResNet-50 together with both heads; here the encoder is frozen, and the heads alone are
    trained. ``published`` has its patch of 224 pixels, its channels and its share of validation spots. Training takes
    all epochs and keeps the weights of the least validation loss, as the original does.

    Parameters
    ----------
    width, dropout
        Of the embeddings and of their heads.
    temperature
        By which similarities are divided in the loss.
    nearest
        Of how many of the fitted spots expression is averaged. 50 of the 7000 spots of the original are few; of fewer
        than 100 they are half, so that every prediction is close to the mean. Where fewer spots are fitted than this,
        an eighth of them: the mean of all spots would be the same everywhere.
    weighting
        ``"mean"``, or ``"exponential"``: exp(−δ²), with δ the distance of embeddings.

    Examples
    --------
    >>> BLEEP().uses_image, BLEEP().uses_position, [BLEEP().neighbours(spots) for spots in (1000, 50, 48)]
    (True, False, [50, 50, 6])
    """

    width: int = 256
    dropout: float = 0.1
    temperature: float = 1.0
    nearest: int = 50
    weighting: Literal["mean", "exponential"] = "mean"
    crop_px: int | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    batch: int = 128
    epochs: int = 100
    validation: float = 0.1
    patience: int | None = 100

    card: ClassVar[ModelCard] = ModelCard(
        "bleep",
        "The mean of the spots whose expression is most similar to the image, in one space for both (BLEEP).",
        "xie2023bleep",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {"crop_px": 224, "channel_order": "bgr", "standardise": "auto", "validation": 0.2},
    }

    def validate(self) -> None:
        """Refuse sizes below 1 and a temperature that is not positive."""
        RetrievalSystem.validate(self)
        refuse_nonpositive(self, "width", "nearest")
        if not self.temperature > 0:
            raise UsageError(f"`temperature` must be positive, got {self.temperature}. BLEEP has 1.")

    def neighbours(self, spots: int) -> int:
        """Return ``nearest``, or an eighth of the spots where there are fewer."""
        return self.nearest if self.nearest <= spots else max(1, spots // 8)

    def weights(
        self, images: Float[np.ndarray, "b e"], keys: Float[np.ndarray, "b k e"]
    ) -> Float[np.ndarray, "b k"]:
        """Return equal weights, or exponential ones of the distance of embeddings."""
        if self.weighting == "mean":
            return np.full(keys.shape[:2], 1 / keys.shape[1])
        squares = ((images[:, None] - keys) ** 2).sum(axis=2)
        # a constant exponent cancels; the first keeps the largest weight representable
        weights = np.exp(squares.min(axis=1, keepdims=True) - squares)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.contrastive import BLEEPNetwork

        return BLEEPNetwork(inputs, outputs, self.width, self.dropout)

    def contrast(self, images: torch.Tensor, spots: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy against similarities within images and within expression."""
        from histosge.models.deep.networks.contrastive import similarity_contrast

        return similarity_contrast(images, spots, self.temperature)


ENTRIES = (BLEEP,)
