"""Systems that predict the mean expression of the fitted spots whose embeddings are most similar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import Block, Runtime
from histosge.section.inputs import Inputs, Samples

from .inputs import Batch, NetworkInputs
from .predictor import DeepPredictor
from .system import FeatureSystem

if TYPE_CHECKING:
    import torch

__all__ = ["RetrievalPredictor", "RetrievalSystem"]

_KEYS, _PROFILES = "retrieval.keys", "retrieval.profiles"
# rows whose similar spots' embeddings are in memory at once: 64 × 600 × 256 floats are 40 MB
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class RetrievalSystem(FeatureSystem):
    """Configuration of a system whose network embeds images and expression in one space.

    The network has a method ``spot_embeddings(batch, expression)``, and returns the embeddings of images when called.
    A system defines :meth:`neighbours`, :meth:`weights` and its loss.
    """

    def neighbours(self, spots: int) -> int:
        """Return of how many of the fitted spots expression is averaged."""
        raise NotImplementedError

    def weights(
        self, images: Float[np.ndarray, "b e"], keys: Float[np.ndarray, "b k e"]
    ) -> Float[np.ndarray, "b k"]:
        """Return the weights of the spots averaged, in the order of similarity; each row sums to 1."""
        raise NotImplementedError

    def contrast(self, images: torch.Tensor, spots: torch.Tensor) -> torch.Tensor:
        """Return the loss of embeddings of images and expression, row by row those of one spot."""
        raise NotImplementedError

    def keys(
        self, network: Any, inputs: NetworkInputs, expression: Float[np.ndarray, "n g"], device: str
    ) -> Float[np.ndarray, "n e"]:
        """Return the embeddings of the expression of the fitted spots."""
        import torch

        with torch.no_grad():
            batch = inputs.batch(np.arange(len(inputs)), device)
            spots = network.spot_embeddings(batch, torch.as_tensor(np.array(expression), device=device))
        keys: Array = spots.float().cpu().numpy()
        return keys

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> RetrievalPredictor:
        """Train the network, and embed the expression of the fitted spots."""
        trained = FeatureSystem.fit(self, samples, seed=seed, runtime=runtime)
        inputs = self.network_inputs(trained.scaling, samples.inputs)
        # the same numbers that the network was trained on
        profiles = trained.targets.encode(samples.dense_expression)
        keys = self.keys(trained.network, inputs, profiles, runtime.device)
        return RetrievalPredictor.of(trained, keys, profiles)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> RetrievalPredictor:
        """Rebuild the predictor, on the CPU."""
        trained = FeatureSystem.restore(self, genes, arrays, summary)
        return RetrievalPredictor.of(trained, np.array(arrays[_KEYS]), np.array(arrays[_PROFILES]))

    def loss(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the contrast of the embeddings of a batch."""
        return self.contrast(network(batch), network.spot_embeddings(batch, targets))

    def validated(self, network: Any, batch: Batch, targets: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of image and expression side by side, which the validation loss compares."""
        import torch

        return torch.cat([network(batch), network.spot_embeddings(batch, targets)], dim=1)

    def validation_loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the contrast of embeddings of validation spots."""
        images, spots = outputs.chunk(2, dim=1)
        return self.contrast(images, spots)

    def validate(self) -> None:
        """Refuse a criterion that embeddings do not have."""
        if self.criterion != "loss":
            raise UsageError(
                f"`criterion` of '{self.card.name}' must be 'loss', as its network outputs embeddings and not genes; "
                f"got '{self.criterion}'."
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RetrievalPredictor(DeepPredictor):
    """A trained network with the spots that it finds; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    keys
        Embeddings of the expression of the fitted spots.
    profiles
        Their expression.
    """

    keys: Float[np.ndarray, "n e"]
    profiles: Float[np.ndarray, "n g"]

    @classmethod
    def of(cls, trained: DeepPredictor, keys: Array, profiles: Array) -> RetrievalPredictor:
        """Return a trained network with the spots that it finds."""
        parts = {item.name: getattr(trained, item.name) for item in fields(trained)}
        return cls(**parts, keys=keys, profiles=profiles)

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict some thousand locations at a time."""
        for rows, images in self.outputs(inputs):
            yield rows, self._mean(images), None

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the network, keys and profiles."""
        return DeepPredictor.arrays(self) | {_KEYS: self.keys, _PROFILES: self.profiles}

    def _mean(self, images: Float[np.ndarray, "b e"]) -> Float[np.ndarray, "b g"]:
        """Return the weighted mean expression of the spots whose embeddings are most similar, by the cosine."""
        model = cast(RetrievalSystem, self.model)
        number = min(model.neighbours(len(self.keys)), len(self.keys))
        similarity = _unit(images) @ _unit(self.keys).T
        # stable: of equally similar spots the first ones
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :number]
        # b × n weights and one product: b × k profiles of a thousand genes would not fit into memory
        weights = np.zeros(similarity.shape, dtype=np.float32)
        for start in range(0, len(images), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            own = model.weights(images[part], self.keys[nearest[part]])
            np.put_along_axis(weights[part], nearest[part], own.astype(np.float32), axis=1)
        return np.asarray(weights @ self.profiles, dtype=np.float32)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
