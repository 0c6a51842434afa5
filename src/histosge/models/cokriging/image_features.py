"""What tissue looks like at a place, in the coordinates in which a covariance compares places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.models.scaling import Columns

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Appearance", "Look"]

# principal components of the features: more carry noise, fewer lose stains
_COMPONENTS = 40
# widths of the surroundings that are averaged, in pitches: the next spots, and those after them
_SURROUNDINGS_PITCHES = (0.8, 1.6)
# places that tell how a section is stained
_TELLING = 10
# beyond this many widths a neighbour has no weight
_REACH = 4.0
# factors that the image is asked to guess
_GUESSED = 12
# noise over signal variance of the guess
_RATIOS = np.geomspace(1e-3, 1e4, 22)
# places at once, while surroundings are averaged
_AT_ONCE = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What places look like.

    Parameters
    ----------
    own
        Principal components of the features at the place.
    around
        The same with averages over the fitted spots around it.
    guess
        What ridge regression makes of ``around``: the factors of expression that the image suggests.
    """

    own: Float[np.ndarray, "n p"]
    around: Float[np.ndarray, "n q"]
    guess: Float[np.ndarray, "n h"]

    def take(self, rows: Array) -> Look:
        """Return those at ``rows``."""
        return Look(self.own[rows], self.around[rows], self.guess[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """How features become looks; learnt on the fitted spots.

    Sections are stained apart: each that was fitted is brought to mean 0 and variance 1 by itself, others by what
    holds for all.

    Parameters
    ----------
    means, scales
        Of the features, one row a section, and a last row for any other, which also stands in for sections of which
        no spot was fitted.
    turn
        From standardised features to principal components.
    spots_um, spot_sections, own
        Positions and sections of the spots that may be averaged around a place: those fitted, and those that were
        only seen; and their components.
    widths_um
        Of the surroundings.
    stretch
        One a width: brings averages, which vary less, to the variance of what is averaged.
    weights
        From ``around`` to the guess.
    """

    means: Float[np.ndarray, "s d"]
    scales: Float[np.ndarray, "s d"]
    turn: Float[np.ndarray, "d p"]
    spots_um: Float[np.ndarray, "n 2"]
    spot_sections: Int[np.ndarray, " n"]
    own: Float[np.ndarray, "n p"]
    widths_um: Float[np.ndarray, " w"]
    stretch: Float[np.ndarray, " w"]
    weights: Float[np.ndarray, "q h"]

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n d"],
        sections: Array,
        xy_um: Float[np.ndarray, "n 2"],
        pitch_um: float,
        factors: Float[np.ndarray, "n k"],
    ) -> tuple[Appearance, Look]:
        """Learn from the fitted spots, and return also what they look like.

        Their guesses are those of a regression that left the spot out, as those of new places are.

        Parameters
        ----------
        features
            Encoder features; those that are not finite count as average.
        sections
            Index of the section of each spot, 0 … s − 1.
        xy_um, pitch_um
            Positions, and the distance of neighbours.
        factors
            Of expression; the first ones are guessed.
        """
        columns = [Columns.of(_finite(features))] * (int(sections.max()) + 2)
        for index in np.unique(sections):
            columns[index] = Columns.of(_finite(features[sections == index]))
        means, scales = (np.array([getattr(part, name) for part in columns]) for name in ("mean", "scale"))
        standard = _standardised(features, means[sections], scales[sections])
        _, size, turn = np.linalg.svd(standard, full_matrices=False)
        kept = min(_COMPONENTS, int((size > 1e-8 * max(size[0], 1e-300)).sum()) or 1)
        widths_um = pitch_um * np.array(_SURROUNDINGS_PITCHES)
        own = standard @ turn[:kept].T
        empty = np.zeros(((len(widths_um) + 1) * kept, 0))
        found = cls(
            means, scales, turn[:kept].T, xy_um, sections, own, widths_um, np.ones(len(widths_um)), empty
        )
        around = found._around(own, sections, xy_um)
        found = replace(found, stretch=_stretches(around, kept))
        around = found._around(own, sections, xy_um)
        weights, left_out = _ridge(around, factors[:, :_GUESSED])
        return replace(found, weights=weights), Look(own, around, left_out)

    def adapted_to(
        self, features: Float[np.ndarray, "b d"], section: int, xy_um: Float[np.ndarray, "b 2"]
    ) -> Appearance:
        """Return the same, acquainted with a section of which no spot was fitted: with its staining and surroundings.

        Parameters
        ----------
        features, xy_um
            At places all over that section; where they are few, its staining is taken to be that of the others.
        section
            Its index.
        """
        means, scales = (
            np.vstack([rows[:-1], np.tile(rows[-1], (max(1, section + 2 - len(rows)), 1))])
            if section >= len(rows) - 1
            else rows.copy()
            for rows in (self.means, self.scales)
        )
        if len(features) >= _TELLING:
            columns = Columns.of(_finite(features))
            means[section], scales[section] = columns.mean, columns.scale
        own = _standardised(features, means[section], scales[section]) @ self.turn
        return replace(
            self,
            means=means,
            scales=scales,
            spots_um=np.vstack([self.spots_um, xy_um]),
            spot_sections=np.concatenate([self.spot_sections, np.full(len(xy_um), section, dtype=np.intp)]),
            own=np.vstack([self.own, own]),
        )

    def look(
        self, features: Float[np.ndarray, "b d"], sections: Array, xy_um: Float[np.ndarray, "b 2"]
    ) -> Look:
        """Return what places look like.

        Parameters
        ----------
        features, xy_um
            At the places.
        sections
            Index of the section of each; any index that was not fitted means another section.
        """
        row = np.where(sections < len(self.means) - 1, sections, len(self.means) - 1)
        own = _standardised(features, self.means[row], self.scales[row]) @ self.turn
        around = self._around(own, sections, xy_um)
        return Look(own, around, around @ self.weights)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"appearance.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Appearance:
        """Return what :meth:`arrays` was made of."""
        return cls(*(arrays[f"appearance.{item.name}"] for item in fields(cls)))

    def _around(self, own: Array, sections: Array, xy_um: Array) -> Array:
        """Return the components at places, and averages of them and of the fitted spots of their section around."""
        blocks = [own, *(np.empty_like(own) for _ in self.widths_um)]
        for index in np.unique(sections):
            rows, spots = np.flatnonzero(sections == index), np.flatnonzero(self.spot_sections == index)
            for block, width_um, stretch in zip(blocks[1:], self.widths_um, self.stretch, strict=True):
                for part in runs(len(rows), _AT_ONCE):
                    some = rows[part]
                    weights = _weights(xy_um[some], self.spots_um[spots], float(width_um))
                    total = 1.0 + np.asarray(weights.sum(axis=1))
                    # where there is nothing around, as in a section of which no spot was fitted, nothing was averaged
                    average = (own[some] + weights @ self.own[spots]) / total
                    block[some] = average * np.where(total > 1, stretch, 1.0)
        return np.concatenate(blocks, axis=1)


def _weights(xy_um: Array, spots_um: Array, width_um: float) -> sparse.csr_matrix:
    """Return Gaussian weights of spots around locations; a spot at the location itself has none."""
    from scipy import sparse
    from scipy.spatial import cKDTree

    near = cKDTree(xy_um).sparse_distance_matrix(
        cKDTree(spots_um), _REACH * width_um, output_type="coo_matrix"
    )
    # the location itself is counted once, whether it is a fitted spot or not
    other = near.data > 1e-6
    weight = np.exp(-0.5 * (near.data[other] / width_um) ** 2)
    return sparse.csr_matrix((weight, (near.row[other], near.col[other])), shape=(len(xy_um), len(spots_um)))


def _finite(features: Array) -> Array:
    """Return features without holes: what is not finite becomes the mean of its column."""
    features = np.asarray(features, dtype=np.float64)
    if np.isfinite(features).all():
        return features
    known = np.where(np.isfinite(features), features, np.nan)
    counted = np.isfinite(known).sum(axis=0)
    mean = np.nansum(known, axis=0) / np.maximum(counted, 1)
    return np.where(np.isfinite(known), known, mean)


def _standardised(features: Array, means: Array, scales: Array) -> Array:
    found = (np.asarray(features, dtype=np.float64) - means) / scales
    # further off than any window of the same tissue: a fold or a pen mark, not a reason to extrapolate
    return np.clip(np.where(np.isfinite(found), found, 0.0), -5.0, 5.0)


def _stretches(around: Array, kept: int) -> Array:
    """Return for each width by how much averages must grow to vary as the components do."""
    power = [float((around[:, start : start + kept] ** 2).sum()) for start in range(0, around.shape[1], kept)]
    return np.sqrt(power[0] / np.maximum(power[1:], 1e-300)) if power[0] > 0 else np.ones(len(power) - 1)


def _ridge(inputs: Array, targets: Array) -> tuple[Array, Array]:
    """Return the weights of ridge regressions, penalty by marginal likelihood, and left-out predictions."""
    n = len(inputs)
    targets = targets - targets.mean(axis=0)
    left, size, right = np.linalg.svd(inputs, full_matrices=False)
    keep = size > 1e-8 * max(size[0], 1e-300)
    left, size, right = left[:, keep], size[keep], right[keep]
    # the scale of the penalty follows that of the inputs
    power = size**2 / max(float((size**2).sum()) / n, 1e-300)
    along = left.T @ targets
    rest = np.maximum((targets**2).sum(axis=0) - (along**2).sum(axis=0), 0.0)
    surprise = []
    for ratio in _RATIOS:
        scale = ((along**2 / (power[:, None] + ratio)).sum(axis=0) + rest / ratio) / n
        determinant = np.log(power + ratio).sum() + (n - len(power)) * np.log(ratio)
        surprise.append(n * np.log(np.maximum(scale, 1e-300)) + determinant)
    ratio = _RATIOS[np.argmin(surprise, axis=0)]
    share = power[:, None] / (power[:, None] + ratio)
    fitted, leverage = left @ (share * along), left**2 @ share
    left_out = (fitted - leverage * targets) / np.maximum(1 - leverage, 1e-6)
    return right.T @ (share * along / size[:, None]), left_out
