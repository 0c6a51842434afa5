"""Kriging: Gaussian-process interpolation on positions alone. Simple, and ahead of most published models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.spacing import median_spacing_um
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.models.cokriging.inducing_points import farthest_points
from histosge.prediction.evidence_ridge import EvidenceRidge
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Kriging"]

# on the diagonal of the landmarks' kernel, against rounding
_JITTER = 1e-6


@dataclass(frozen=True, slots=True)
class Kriging(Model):
    """Two Matérn-3/2 kernels of different range, equally weighted, and noise per gene by marginal likelihood.

    Above ``landmarks`` spots the kernel is carried by that many of them, spread evenly (Nyström; Quiñonero-Candela &
    Rasmussen 2005); what they do not carry is added to the spread.

    Parameters
    ----------
    ranges_pitches
        Length scales in pitches.
    landmarks
        Most spots that carry the kernel; time grows with their cube, memory with their square.
    """

    ranges_pitches: tuple[float, ...] = (2.0, 8.0)
    landmarks: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "kriging",
        "Gaussian process on positions, no image; knows how sure it is.",
        "rasmussen2006",
        uses_position=True,
    )

    def __post_init__(self) -> None:
        if not self.ranges_pitches or min(self.ranges_pitches) <= 0:
            raise UsageError(
                f"`ranges_pitches` must be positive numbers, got {self.ranges_pitches}. Try 2 and 8."
            )
        if self.landmarks < 2:
            raise UsageError(f"`landmarks` must be 2 or more, got {self.landmarks}. Try 2000.")

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> KrigingPredictor:
        """Choose landmarks, find each gene's noise.

        Raises
        ------
        UsageError
            For fewer than 3 spots.
        """
        from scipy.linalg import cholesky

        xy_um = samples.inputs.separated_xy_um
        if len(xy_um) < 3:
            raise UsageError(f"Expected at least 3 spots to fit, got {len(xy_um)}.")
        pitch_um = median_spacing_um(xy_um)
        chosen = xy_um if len(xy_um) <= self.landmarks else xy_um[farthest_points(xy_um, self.landmarks)]
        ranges = tuple(pitch_um * length for length in self.ranges_pitches)
        kernel = matern(chosen, chosen, ranges)
        kernel[np.diag_indices(len(kernel))] += _JITTER
        field = Field(chosen, cholesky(kernel, lower=True), ranges)
        shrinkage = EvidenceRidge.fit(field.features(xy_um), samples.expression)
        return KrigingPredictor(samples.genes, field, shrinkage)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> KrigingPredictor:
        """Rebuild the predictor."""
        field = Field(arrays["landmarks_um"], arrays["root"], tuple(arrays["ranges_um"].tolist()))
        return KrigingPredictor(genes, field, EvidenceRidge.from_arrays(arrays))


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A Gaussian process as features: φ(x)·φ(x') is the kernel, as far as the landmarks carry it.

    Parameters
    ----------
    landmarks_um
        Places.
    root
        Lower Cholesky factor of their kernel.
    ranges_um
        Length scales.
    """

    landmarks_um: Float[np.ndarray, "m 2"]
    root: Float[np.ndarray, "m m"]
    ranges_um: tuple[float, ...]

    def features(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n m"]:
        """Return φ."""
        from scipy.linalg import solve_triangular

        kernel = matern(xy_um, self.landmarks_um, self.ranges_um)
        return np.asarray(solve_triangular(self.root, kernel.T, lower=True, check_finite=False).T)


def matern(
    left_um: Float[np.ndarray, "n 2"], right_um: Float[np.ndarray, "m 2"], ranges_um: tuple[float, ...]
) -> Float[np.ndarray, "n m"]:
    """Return the mean of Matérn-3/2 kernels of several ranges."""
    from scipy.spatial.distance import cdist

    distance = cdist(left_um, right_um)
    kernel = np.zeros_like(distance)
    for length in ranges_um:
        scaled = distance * (3**0.5 / length)
        kernel += (1 + scaled) * np.exp(-scaled)
    return np.asarray(kernel / len(ranges_um))


@dataclass(frozen=True, slots=True, eq=False)
class KrigingPredictor:
    """The field and each gene's weights on it."""

    genes: Array
    field: Field
    shrinkage: EvidenceRidge

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Interpolate; values below 0 are cut."""
        for rows in pieces(len(inputs), max(len(self.genes), len(self.field.landmarks_um))):
            features = self.field.features(inputs.separated_xy_um[rows])
            beyond = np.maximum(1.0 - (features**2).sum(axis=1), 0.0)
            mean, sd = self.shrinkage.predict(features, beyond)
            yield rows, np.maximum(mean, 0), sd

    def arrays(self) -> dict[str, Array]:
        """Return landmarks and weights."""
        own = {"landmarks_um": self.field.landmarks_um, "root": self.field.root}
        return own | {"ranges_um": np.array(self.field.ranges_um)} | self.shrinkage.arrays()

    def summary(self) -> dict[str, Any]:
        """Return how many landmarks carry the field."""
        return {"landmarks": len(self.field.landmarks_um)}


ENTRIES = (Kriging,)
