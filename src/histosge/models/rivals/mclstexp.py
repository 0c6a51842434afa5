"""mclSTExp (Min et al. 2024): as BLEEP, with position and attention between spots in the embedding of expression."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import ModelCard, Runtime
from histosge.models.deep.batches import Batching
from histosge.models.deep.inputs import NetworkInputs
from histosge.models.deep.retrieval import RetrievalPredictor, RetrievalSystem
from histosge.models.deep.system import refuse_without_lattice
from histosge.section.inputs import Samples

if TYPE_CHECKING:
    import torch

__all__ = ["MclSTExp"]


@dataclass(frozen=True, slots=True)
class MclSTExp(RetrievalSystem):
    """Configuration; further options are those of :class:`~histosge.models.deep.training.TrainingConfig`.

    By default all fitted spots attend to each other, so that an embedding does not depend on the other spots of its
    batch. ``published`` has the original's batches of 128 in training and of 32 afterwards, its patch of 224 pixels,
    its channels and its 200 spots. The original trains a DenseNet-121; here the encoder is frozen.

    Parameters
    ----------
    width, dropout
        Of the embeddings and of their heads.
    positions
        Rows of the tables of positions, which are added to expression. Differs from the original: its 65 536 are
        indexed by pixels on Visium, where most rows are never trained; here always by lattice positions.
    depth, heads, head_width
        Of the transformer over spots.
    attention
        Which spots attend to each other: ``"all"`` that are fitted, or those of a ``"batch"``.
    key_batch
        Spots that are embedded together after training, in the order listed, where ``attention`` is ``"batch"``.
    temperature
        By which similarities are divided in the loss.
    nearest
        Of how many of the fitted spots expression is averaged; ``None``: of an eighth.
    distance
        Of embeddings, by the inverse square of which spots are weighted: ``"l2"`` as on Visium, or ``"l1"`` as on
        legacy ST.

    Examples
    --------
    >>> MclSTExp().neighbours(400), MclSTExp(nearest=200).neighbours(150)
    (50, 150)
    """

    width: int = 256
    dropout: float = 0.1
    positions: int = 128
    depth: int = 2
    heads: int = 8
    head_width: int = 64
    attention: Literal["all", "batch"] = "all"
    key_batch: int = 32
    temperature: float = 1.0
    nearest: int | None = None
    distance: Literal["l1", "l2"] = "l2"
    crop_px: int | None = None
    optimiser: Literal["adamw", "adam", "sgd"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    batch: int = 128
    epochs: int = 90

    card: ClassVar[ModelCard] = ModelCard(
        "mclstexp",
        "As BLEEP, with positions and attention between spots in the embedding of expression (mclSTExp).",
        "min2024mclstexp",
        uses_position=False,
        deep=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {
            "crop_px": 224,
            "channel_order": "bgr",
            "standardise": "auto",
            "attention": "batch",
            "nearest": 200,
            "distance": "l1",
        },
    }

    def validate(self) -> None:
        """Refuse sizes below 1 and a temperature that is not positive."""
        RetrievalSystem.validate(self)
        refuse_nonpositive(self, "width", "positions", "depth", "heads", "head_width", "key_batch")
        if self.nearest is not None:
            refuse_nonpositive(self, "nearest")
        if not self.temperature > 0:
            raise UsageError(f"`temperature` must be positive, got {self.temperature}. mclSTExp has 1.")

    @property
    def batching(self) -> Batching:
        """All spots, or batches of them."""
        return Batching(sys.maxsize if self.attention == "all" else self.batch, self.min_batch)

    def neighbours(self, spots: int) -> int:
        """Return ``nearest``, or an eighth of the spots."""
        return max(1, spots // 8) if self.nearest is None else min(self.nearest, spots)

    def weights(
        self, images: Float[np.ndarray, "b e"], keys: Float[np.ndarray, "b k e"]
    ) -> Float[np.ndarray, "b k"]:
        """Return weights by the inverse square of the distance of embeddings, which are not normalised."""
        order = 1 if self.distance == "l1" else 2
        distance = np.linalg.norm(images[:, None] - keys, ord=order, axis=2).astype(np.float64)
        weights = 1 / np.maximum(distance, 1e-6) ** 2
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> RetrievalPredictor:
        """Train the network, and embed the expression of the fitted spots.

        Raises
        ------
        UsageError
            For spots without lattice positions, by which the tables are indexed; locations predicted need none.
        """
        refuse_without_lattice(samples, "mclstexp", "Choose 'bleep', which is the same without positions.")
        return RetrievalSystem.fit(self, samples, seed=seed, runtime=runtime)

    def keys(
        self, network: Any, inputs: NetworkInputs, expression: Float[np.ndarray, "n g"], device: str
    ) -> Float[np.ndarray, "n e"]:
        """Return the embeddings of the expression of the fitted spots, all together or in batches as listed."""
        import torch

        step = len(inputs) if self.attention == "all" else self.key_batch
        parts: list[Array] = []
        for start in range(0, len(inputs), step):
            rows = np.arange(start, min(start + step, len(inputs)))
            values = torch.as_tensor(np.array(expression[rows]), device=device)
            with torch.no_grad():
                parts.append(
                    network.spot_embeddings(inputs.batch(rows, device), values).float().cpu().numpy()
                )
        return np.concatenate(parts)

    def build_network(self, inputs: int, outputs: int) -> Any:
        """Return the untrained network."""
        from histosge.models.deep.networks.contrastive import MclSTExpNetwork

        return MclSTExpNetwork(
            inputs,
            outputs,
            width=self.width,
            dropout=self.dropout,
            positions=self.positions,
            depth=self.depth,
            heads=self.heads,
            head_width=self.head_width,
        )

    def contrast(self, images: torch.Tensor, spots: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy against the identity."""
        from histosge.models.deep.networks.contrastive import identity_contrast

        return identity_contrast(images, spots, self.temperature)


ENTRIES = (MclSTExp,)
