"""What inducing points leave of each output factor, kriged from the nearest measured spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.section.inputs import separated

from .block_covariance import matern
from .eigensolver import Eigendecomposition
from .row_blocks import blocks_of

__all__ = ["NearestSpots"]

# candidates for the range, in pitches
_RANGES_PITCHES = (1.0, 2.0, 4.0, 8.0, 16.0)
# spots of each neighbourhood whose likelihood is compared
_NEIGHBOURHOOD = 250
# gain in log marginal likelihood over noise alone, as of the image weight
_LEAST_GAIN = 10.0
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class NearestSpots:
    """A short-range process of each output factor, conditioned on a few neighbours (Eq. 13b of docs/method.md).

    Two thousand inducing points of a section of Visium HD are 145 µm apart and carry nothing finer. What they leave of
    a spot's factor scores is noise and structure of short range, which the nearest spots share (Vecchia 1988).

    Parameters
    ----------
    xy_um, section_index
        Of the training spots.
    residuals
        Their factor scores less the leave-one-out prediction.
    range_um
        Of the Matérn-3/2 covariance.
    noise_ratio, signal_variance
        Of each factor.
    neighbours
        How many spots predict a location.
    """

    xy_um: Float[np.ndarray, "n 2"]
    section_index: Int[np.ndarray, " n"]
    residuals: Float[np.ndarray, "n k"]
    range_um: float
    noise_ratio: Float[np.ndarray, " k"]
    signal_variance: Float[np.ndarray, " k"]
    neighbours: int
    _tree: object = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from scipy.spatial import cKDTree

        object.__setattr__(self, "_tree", cKDTree(separated(self.xy_um, self.section_index)))

    @classmethod
    def fit(
        cls,
        xy_um: Float[np.ndarray, "n 2"],
        section_index: Int[np.ndarray, " n"],
        residuals: Float[np.ndarray, "n k"],
        *,
        pitch_um: float,
        centres: Int[np.ndarray, " c"],
        neighbours: int,
    ) -> NearestSpots | None:
        """Choose range and noise by marginal likelihood (Eq. 10 and 11); ``None`` where noise alone is as likely.

        Parameters
        ----------
        xy_um, section_index, residuals, neighbours
            See the class.
        pitch_um
            Distance of neighbouring spots.
        centres
            Spots whose neighbourhoods are compared.
        """
        from scipy.spatial import cKDTree

        positions = separated(xy_um, section_index)
        tree, size = cKDTree(positions), min(_NEIGHBOURHOOD, len(positions))
        parts = [np.sort(np.atleast_1d(tree.query(positions[centre], k=size)[1])) for centre in centres]
        noise_alone = sum(_log_of_noise(residuals[part]) for part in parts)
        candidates = [length * pitch_um for length in _RANGES_PITCHES]
        likelihoods = map_parts(lambda length: _likelihood(positions, residuals, parts, length), candidates)
        best = int(np.argmax([log for log, _ in likelihoods]))
        if likelihoods[best][0] - noise_alone < _LEAST_GAIN:
            return None
        ratio = likelihoods[best][1]
        signal = residuals.var(axis=0, dtype=np.float64) / (1 + ratio)
        return cls(xy_um, section_index, residuals, candidates[best], ratio, signal, neighbours)

    def at(
        self, xy_um: Float[np.ndarray, "b 2"], section_index: Int[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b k"]]:
        """Return the mean at locations, and the variance that is left."""
        positions = separated(xy_um, section_index)
        distance, spot = self._query(positions, self.neighbours)
        return self._kriged(distance, spot)

    def left_out(self) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
        """Return mean and variance at each training spot from the spots around it."""
        mean = np.empty(self.residuals.shape, dtype=np.float32)
        variance = np.empty_like(mean)
        positions = separated(self.xy_um, self.section_index)

        def predict(rows: Array) -> None:
            distance, spot = self._query(positions[rows], self.neighbours + 1)
            # the spot itself last, whatever else has its position
            order = np.argsort(spot == rows[:, None], axis=1, kind="stable")[:, : self.neighbours]
            distance, spot = (np.take_along_axis(part, order, axis=1) for part in (distance, spot))
            mean[rows], variance[rows] = self._kriged(distance, spot)

        map_parts(predict, blocks_of(np.arange(len(positions))))
        return mean, variance

    def _query(self, positions: Array, number: int) -> tuple[Array, Array]:
        parts = self._tree.query(positions, k=min(number, len(self.residuals)))  # type: ignore[attr-defined]
        return tuple(np.asarray(part).reshape(len(positions), -1) for part in parts)  # type: ignore[return-value]

    def _kriged(self, distance: Array, spot: Array) -> tuple[Array, Array]:
        """Return kriging means and variances, one eigendecomposition a location for all factors (Eq. 9)."""
        near = separated(self.xy_um[spot.ravel()], self.section_index[spot.ravel()]).reshape(*spot.shape, 2)
        between = np.linalg.norm(near[:, :, None] - near[:, None], axis=-1)
        eigenvalues, vectors = np.linalg.eigh(matern(between, self.range_um))
        along = np.einsum("bi,bij->bj", matern(distance, self.range_um), vectors)
        inverse = 1 / (np.maximum(eigenvalues, 0.0)[:, :, None] + self.noise_ratio)
        turned = np.matmul(vectors.transpose(0, 2, 1), self.residuals[spot].astype(np.float64))
        mean = np.einsum("bj,bjk,bjk->bk", along, inverse, turned, optimize=True)
        carried = np.einsum("bj,bjk->bk", along**2, inverse)
        return mean, self.signal_variance * np.clip(1 - carried, 0.0, 1.0)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {
            "nearest_spots.xy_um": self.xy_um,
            "nearest_spots.section_index": self.section_index,
            "nearest_spots.residuals": self.residuals,
            "nearest_spots.noise_ratio": self.noise_ratio,
            "nearest_spots.signal_variance": self.signal_variance,
            "nearest_spots.range_um": np.array([self.range_um, self.neighbours]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> NearestSpots | None:
        """Return the process whose :meth:`arrays` these are; ``None`` where a fit has none."""
        if "nearest_spots.residuals" not in arrays:
            return None
        range_um, neighbours = arrays["nearest_spots.range_um"]
        names = ("xy_um", "section_index", "residuals", "noise_ratio", "signal_variance")
        own = {name: arrays[f"nearest_spots.{name}"] for name in names}
        return cls(**own, range_um=float(range_um), neighbours=int(neighbours))


def _log_of_noise(values: Array) -> float:
    """Return the log marginal likelihood of noise alone: Eq. 10 where all eigenvalues are 0."""
    degrees = max(len(values) - 1, 1)
    variance = ((values - values.mean(axis=0)) ** 2).sum(axis=0, dtype=np.float64) / degrees
    return float(-0.5 * degrees * np.log(np.maximum(variance, _TINY)).sum())


def _likelihood(
    positions: Array, residuals: Array, parts: list[Array], range_um: float
) -> tuple[float, Float[np.ndarray, " k"]]:
    """Return the log marginal likelihood of a range in some neighbourhoods, and the noise ratio of each factor."""
    total, log_ratio = 0.0, np.zeros(residuals.shape[1])
    for part in parts:
        own = positions[part]
        distance = np.linalg.norm(own[:, None] - own[None], axis=-1)
        posterior = Eigendecomposition.exact(matern(distance, range_um)).posterior(
            residuals[part].astype(np.float64)
        )
        total += float(posterior.log_marginal_likelihood.sum())
        signal = np.maximum(posterior.signal_variance, _TINY)
        log_ratio += np.log(np.maximum(posterior.noise_variance / signal, _TINY)) / len(parts)
    return total, np.exp(log_ratio)
