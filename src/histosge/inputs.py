"""What a model is given: places and what is seen there, and for fitting also what was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ._errors import DataError
from ._types import Array, Float, frozen
from .locations import Locations
from .patches import PatchSource

__all__ = ["FeatureRows", "Inputs", "Samples"]


@runtime_checkable
class FeatureRows(Protocol):
    """A matrix read by rows: a NumPy array, or one on disk that is larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Places and what is seen there. There is no field for expression: a predictor cannot see the truth.

    Parameters
    ----------
    locations
        Where; carries µm, lattice positions and which spot each came from.
    features
        Encoder features, n × d, or ``None``.
    colour
        Mean R, G, B of the patch in [0, 1], n × 3 (the paper's T), or ``None``.
    patches
        The images themselves, for models that train their own network on pixels, or ``None``.
    """

    locations: Locations
    features: FeatureRows | None = None
    colour: Float[np.ndarray, "n 3"] | None = None
    patches: PatchSource | None = None

    def __post_init__(self) -> None:
        for name in ("features", "colour", "patches"):
            part = getattr(self, name)
            if part is not None and len(_rows(part)) != len(self.locations):
                raise DataError(f"Expected {len(self.locations)} rows of {name}, got {len(_rows(part))}.")

    def __len__(self) -> int:
        return len(self.locations)

    def take(self, index: Any) -> Inputs:
        """Return the inputs at ``index``; features are read into memory, patches stay lazy."""
        return replace(
            self,
            locations=self.locations.take(index),
            features=None if self.features is None else np.asarray(self.features[index]),
            colour=None if self.colour is None else self.colour[index],
            patches=None if self.patches is None else self.patches.take(index),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a model is fitted to: inputs and the expression measured there.

    Parameters
    ----------
    inputs
        The places of the retained spots.
    expression
        log1p(CP10k) values, n × g.
    genes
        Gene names, one a column.
    depth
        Total counts of each spot over all genes: how precisely it was measured.
    """

    inputs: Inputs
    expression: Float[np.ndarray, "n g"]
    genes: Array
    depth: Float[np.ndarray, " n"]

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape = (len(self.inputs), len(genes))
        if self.expression.shape != shape or self.depth.shape != shape[:1]:
            raise DataError(
                f"Expected expression {shape}, got {self.expression.shape} and depth {self.depth.shape}."
            )
        object.__setattr__(self, "expression", frozen(self.expression))
        object.__setattr__(self, "genes", frozen(genes))

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Any) -> Samples:
        """Return the samples at ``index``."""
        return Samples(self.inputs.take(index), self.expression[index], self.genes, self.depth[index])


def _rows(part: Any) -> Any:
    return part if hasattr(part, "__len__") else range(part.shape[0])
