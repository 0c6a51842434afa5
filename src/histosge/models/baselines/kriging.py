"""Kriging: Gaussian-process interpolation by position alone. Simple, and more accurate than most published models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import Block, Model, ModelCard, Needs, Runtime
from histosge.models.blocks import pieces
from histosge.models.cokriging.block_covariance import matern
from histosge.models.cokriging.inducing_points import farthest_points
from histosge.models.cokriging.kernels import KernelInputs
from histosge.models.cokriging.microscale import Microscale, is_apart
from histosge.models.cokriging.ranges import likely_ranges, pitch_of, resolved_pitches
from histosge.models.cokriging.standardise import Coins, reliability
from histosge.prediction.evidence_ridge import EvidenceRidge
from histosge.section.inputs import Inputs, Samples

__all__ = ["ENTRIES", "Kriging", "KrigingPredictor", "NystromFeatures", "matern32"]

# added to the diagonal of the kernel matrix of the inducing points, which rounding can make indefinite
_JITTER = 1e-6
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Kriging(Model):
    """Two Matérn-3/2 kernels of equal weight, and the noise of each gene by marginal likelihood.

    With more spots than ``inducing_points`` the process is approximated by so many of them, spread evenly (Nyström;
    Quiñonero-Candela & Rasmussen 2005). The prior variance that they do not explain is added to the predictive
    variance.

    Parameters
    ----------
    ranges_pitches
        Ranges of the kernels, in pitches: a short and a long one. ``None`` chooses them by marginal likelihood
        (:func:`~histosge.models.cokriging.ranges.likely_ranges`).
    inducing_points
        Largest number of spots that represent the process; time grows with its cube, memory with its square.
    microscale
        In bins, cells and regions, add what a spot has of its own, gene by gene, as `cokriging` does by factor
        (Eq. 15a and 15b of docs/method.md); spots and their upsampled lattice stay as they are.

    Raises
    ------
    UsageError
        For a range that is not positive, or fewer than two inducing points.

    Examples
    --------
    >>> Kriging(ranges_pitches=(2.0, 8.0)).ranges_pitches
    (2.0, 8.0)
    """

    ranges_pitches: tuple[float, ...] | None = None
    inducing_points: int = 2000
    microscale: bool = True

    card: ClassVar[ModelCard] = ModelCard(
        "kriging",
        "Gaussian process on positions, without the image; gives a standard deviation.",
        "rasmussen2006",
        uses_position=True,
    )

    def __post_init__(self) -> None:
        ranges = self.ranges_pitches
        if ranges is not None and not (ranges and min(ranges) > 0):
            raise UsageError(f"`ranges_pitches` must be positive numbers, got {ranges}. Try 2 and 8.")
        if self.inducing_points < 2:
            raise UsageError(f"`inducing_points` must be 2 or more, got {self.inducing_points}. Try 2000.")

    @property
    def needs(self) -> Needs:
        """Positions alone."""
        return Needs()

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> KrigingPredictor:
        """Choose the inducing points and fit the noise of each gene.

        Raises
        ------
        UsageError
            For fewer than 3 spots.
        """
        samples = samples.dense()
        xy_um = samples.inputs.separated_xy_um
        if len(xy_um) < 3:
            raise UsageError(f"Expected at least 3 spots to fit, got {len(xy_um)}.")
        points_um = xy_um
        if len(xy_um) > self.inducing_points:
            points_um = xy_um[farthest_points(xy_um, self.inducing_points)]
        # inducing points do not resolve shorter ranges
        least = 0.0 if points_um is xy_um else resolved_pitches(len(xy_um), self.inducing_points)
        ranges = self.ranges_pitches or likely_ranges(xy_um, samples.expression, least=least)
        ranges_um = tuple(pitch_of(xy_um) * length for length in ranges)
        process = NystromFeatures.of(points_um, ranges_um)
        features = process.features(xy_um)
        ridge = EvidenceRidge.fit(features, samples.expression)
        microscale = own_variation(samples, ridge, features, seed=seed) if self.microscale else None
        return KrigingPredictor(samples.genes, process, ridge, microscale)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> KrigingPredictor:
        """Rebuild the predictor."""
        ranges_um = tuple(arrays["ranges_um"].tolist())
        process = NystromFeatures(arrays["inducing_points_um"], arrays["cholesky"], ranges_um)
        return KrigingPredictor(
            genes, process, EvidenceRidge.from_arrays(arrays), Microscale.from_arrays(arrays)
        )


def own_variation(
    samples: Samples, ridge: EvidenceRidge, features: Float[np.ndarray, "n m"], *, seed: int
) -> Microscale | None:
    """Return what each spot has of its own, gene by gene; ``None`` where spots are not apart.

    Eq. 15a of docs/method.md with genes in place of factors: the residual of a spot is shared between variation and
    error as their variances are, and the error of a gene is the variance that halves of its molecules do not share.
    Genes are no principal axes, so that the factor of Marchenko and Pastur is 1.

    Parameters
    ----------
    samples
        The training spots.
    ridge, features
        Their kriging, and its features at the spots.
    seed
        Of the split of the counts.
    """
    inputs, expression = samples.inputs, samples.expression
    diameter_um = min(float(inputs.locations.points.diameter_um), pitch_of(inputs.separated_xy_um))
    spots = KernelInputs(np.array(inputs.locations.xy), inputs.section_index, diameter_um)
    if not is_apart(spots):
        return None
    coins = Coins.of(inputs.locations.points.ids, samples.genes, seed)
    shared = reliability(samples.log_cp10k, samples.depth, sections=inputs.section_index, coins=coins)
    error = expression.var(axis=0) * (1 - shared)
    noise = ridge.noise_ratios * ridge.signal_variance
    share = np.clip(1 - error / np.maximum(noise, _TINY), 0.0, 1.0)
    residual = expression - ridge.mean - (features @ ridge.eigenvectors) @ ridge.weights
    return Microscale(spots.xy_um, spots.section_index, diameter_um, (residual * share).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class NystromFeatures:
    """Features φ whose product φ(x)·φ(x') is the Nyström approximation of the kernel.

    φ(x) = L⁻¹ k(x) with k(x) the covariances with the inducing points and L Lᵀ their kernel matrix (Rasmussen &
    Williams 2006, section 8.1). At the inducing points themselves the kernel is exact.

    Parameters
    ----------
    inducing_points_um
        Positions, µm.
    cholesky
        L, lower triangular.
    ranges_um
        Ranges of the Matérn-3/2 kernels, µm.
    """

    inducing_points_um: Float[np.ndarray, "m 2"]
    cholesky: Float[np.ndarray, "m m"]
    ranges_um: tuple[float, ...]

    @classmethod
    def of(
        cls, inducing_points_um: Float[np.ndarray, "m 2"], ranges_um: tuple[float, ...]
    ) -> NystromFeatures:
        """Factorise the kernel matrix of the inducing points."""
        from scipy.linalg import cholesky

        kernel = matern32(inducing_points_um, inducing_points_um, ranges_um)
        kernel[np.diag_indices(len(kernel))] += _JITTER
        return cls(inducing_points_um, cholesky(kernel, lower=True), ranges_um)

    def features(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n m"]:
        """Return φ at positions."""
        from scipy.linalg import solve_triangular

        kernel = matern32(xy_um, self.inducing_points_um, self.ranges_um)
        return np.asarray(solve_triangular(self.cholesky, kernel.T, lower=True, check_finite=False).T)


def matern32(
    left_um: Float[np.ndarray, "n 2"], right_um: Float[np.ndarray, "m 2"], ranges_um: tuple[float, ...]
) -> Float[np.ndarray, "n m"]:
    """Return the mean of Matérn-3/2 kernels of several ranges.

    Examples
    --------
    >>> import numpy as np
    >>> float(matern32(np.zeros((1, 2)), np.zeros((1, 2)), (100.0, 400.0))[0, 0])
    1.0
    """
    from scipy.spatial.distance import cdist

    distance_um = cdist(left_um, right_um)
    kernel = np.zeros_like(distance_um)
    for range_um in ranges_um:
        kernel += matern(distance_um, range_um)
    return np.asarray(kernel / len(ranges_um))


@dataclass(frozen=True, slots=True, eq=False)
class KrigingPredictor:
    """A fitted Gaussian process.

    Parameters
    ----------
    genes
        Names of the genes.
    process
        Features that stand for the kernel.
    ridge
        Weights of the features and noise, by gene: with these features, ridge regression is kriging.
    microscale
        What each spot has of its own, one column for each gene; ``None`` where spots are not apart.
    """

    genes: Array
    process: NystromFeatures
    ridge: EvidenceRidge
    microscale: Microscale | None = None

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Interpolate; values below 0 are cut."""
        for rows in pieces(len(inputs), max(len(self.genes), len(self.process.inducing_points_um))):
            features = self.process.features(inputs.separated_xy_um[rows])
            # prior variance 1 less what the inducing points explain
            unexplained = np.maximum(1.0 - (features**2).sum(axis=1), 0.0)
            mean, sd = self.ridge.predict(features, unexplained)
            if self.microscale is not None:
                mean += self.microscale.within(inputs, rows, self.microscale.diameter_um)
            yield rows, np.maximum(mean, 0), sd

    def arrays(self) -> dict[str, Array]:
        """Return inducing points and weights."""
        own = {"inducing_points_um": self.process.inducing_points_um, "cholesky": self.process.cholesky}
        own |= {} if self.microscale is None else self.microscale.arrays()
        return own | {"ranges_um": np.array(self.process.ranges_um)} | self.ridge.arrays()

    def summary(self) -> dict[str, Any]:
        """Return the number of inducing points and the ranges."""
        ranges_um = [float(length) for length in self.process.ranges_um]
        return {"inducing_points": len(self.process.inducing_points_um), "ranges_um": ranges_um}


ENTRIES = (Kriging,)
