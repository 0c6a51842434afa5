"""Leave-one-out predictions of many targets at some spots, averaged over the noise-to-signal ratio of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from histosge._runtime.types import Float, Int

__all__ = ["LeftOutRows", "LeftOutTerm", "change_of_inverse", "on_every_second"]

# eigenvalues below this part of the noise change an inverse by less than this part
_LEAST_PART = 1e-4
_ROUNDING = 1e-10
# in units of a target's prior variance
_LARGE = 1.0


def change_of_inverse(
    eigenvalues: Float[np.ndarray, " r"], noise: float, dtype: Any
) -> Float[np.ndarray, "m 1"]:
    """Return what the inverse of covariance and noise is along the leading eigenvectors, beyond that of the noise.

    Outside the eigenvectors the covariance is 0, and the inverse is that of the noise alone.
    """
    kept = max(1, int(np.searchsorted(-eigenvalues, -_LEAST_PART * noise)))
    return np.asarray((1 / (eigenvalues[:kept, None] + noise) - 1 / noise).astype(dtype))


def rest_of_inverse(
    eigenvalues: Float[np.ndarray, " r"], noise: float, dtype: Any
) -> Float[np.ndarray, "m 1"]:
    """Return what the inverse is along the leading eigenvectors, beyond what two terms of its series are elsewhere.

    These are 1/ρ and, where eigenvalues are small, −λ/ρ²: of larger ones the series cancels in single precision.
    """
    rest = eigenvalues**2 / (noise**2 * (eigenvalues + noise))
    large = _large(eigenvalues)
    rest[:large] = 1 / (eigenvalues[:large] + noise) - 1 / noise
    # in double precision there are few eigenvectors, and nearly all count
    least = _LEAST_PART if dtype == np.float32 else _ROUNDING
    kept = large + int(np.searchsorted(-rest[large:], -least / noise))
    return np.asarray(rest[: max(1, kept), None].astype(dtype))


def _large(eigenvalues: Float[np.ndarray, " r"]) -> int:
    """Return the number of large eigenvalues."""
    return int(np.searchsorted(-eigenvalues, -_LARGE, side="right"))


def on_every_second(weight: Float[np.ndarray, "m q"]) -> Float[np.ndarray, "m q"]:
    """Return weights of every second ratio: what is averaged is interpolated between these.

    Examples
    --------
    >>> import numpy as np
    >>> on_every_second(np.array([[0.0], [0.5], [0.5], [0.0]])).ravel().tolist()
    [0.25, 0.0, 0.75, 0.0]
    """
    thin = np.zeros_like(weight)
    thin[::2] = weight[::2]
    between = weight[1:-1:2]
    thin[:-2:2] += between / 2
    thin[2::2] += between / 2
    # the last one has no neighbour beyond it
    if len(weight) % 2 == 0:
        thin[-1] += weight[-1]
    return thin


@dataclass(frozen=True, slots=True, eq=False)
class LeftOutTerm:
    """Targets that are predicted and added to others.

    Parameters
    ----------
    values
        Centred measurements at the spots to predict.
    projections
        Of the measurements of all spots on the eigenvectors.
    smoothed
        As from :meth:`LeftOutRows.smoothed`.
    weight
        Of each ratio for each target; they add up to the weight of the term.
    """

    values: Float[np.ndarray, "l q"]
    projections: Float[np.ndarray, "r q"]
    smoothed: Float[np.ndarray, "l q"]
    weight: Float[np.ndarray, "m q"]


@dataclass(frozen=True, slots=True, eq=False)
class LeftOutRows:
    """The inverse A of covariance and noise at the spots to predict, for every noise-to-signal ratio ρ.

    Parameters
    ----------
    eigenvalues
        Of the covariance, largest first.
    vectors
        Eigenvectors at the spots to predict.
    diagonals
        Diagonal of A at these spots, one column per ratio, less 1/ρ.
    ratios
        Noise-to-signal ratios.
    """

    eigenvalues: Float[np.ndarray, " r"]
    vectors: Float[np.ndarray, "l r"]
    diagonals: Float[np.ndarray, "l m"]
    ratios: Float[np.ndarray, " m"]

    def smoothed(self, projections: Float[np.ndarray, "r q"]) -> Float[np.ndarray, "l q"]:
        """Return targets times the covariance of all spots along its small eigenvalues, which no ratio changes."""
        large, dtype = _large(self.eigenvalues), self.vectors.dtype
        return np.asarray(
            self.vectors[:, large:] @ (self.eigenvalues[large:, None].astype(dtype) * projections[large:])
        )

    def predict(
        self, terms: Sequence[LeftOutTerm], own: Float[np.ndarray, "l m"]
    ) -> Float[np.ndarray, "l q"]:
        """Return a weighted sum of predictions, each averaged over the ratio (Eq. 12 of docs/method.md).

        With the covariance K, A is 1/ρ − K/ρ² + K²(K + ρ)⁻¹/ρ². Where eigenvalues are small, the middle term needs one
        product with the targets for all ratios, and the last one few eigenvectors.

        Parameters
        ----------
        terms
            Targets, as many in each.
        own
            As from :meth:`own`.
        """
        dtype = self.vectors.dtype
        weight = np.sum([term.weight for term in terms], axis=0)
        used = np.flatnonzero(weight.any(axis=1))
        noise = self.ratios[used]
        diagonal = self._diagonal(used)
        of_value, of_smoothed = own[:, used].astype(dtype), (1 / (noise**2 * diagonal)).astype(dtype)
        # targets of like ratios beside each other, so that those of one ratio are a slice
        order = np.argsort(np.arange(len(weight)) @ weight, kind="stable")
        total, ordered = np.zeros((len(self.vectors), len(order)), dtype=dtype), []
        for term in terms:
            of_ratio = term.weight[used].astype(dtype)
            total += term.values * (of_value @ of_ratio) + term.smoothed * (of_smoothed @ of_ratio)
            ordered.append((term.projections[:, order], of_ratio[:, order]))
        result = total[:, order]
        for index, ratio in enumerate(noise.tolist()):
            filled = np.flatnonzero(weight[used[index], order])
            some = slice(filled[0], filled[-1] + 1)
            rest = rest_of_inverse(self.eigenvalues, ratio, dtype)
            parts = (of_term[: len(rest), some] * of_ratio[index, some] for of_term, of_ratio in ordered)
            columns = rest * reduce(np.add, parts)
            result[:, some] -= self.vectors[:, : len(rest)] @ columns / diagonal[:, [index]]
        total[:, order] = result
        return total

    def own(
        self,
        of_mean: Float[np.ndarray, "r j"],
        sections: Int[np.ndarray, " l"],
        others: Float[np.ndarray, "l 1"],
        used: Int[np.ndarray, " u"],
    ) -> Float[np.ndarray, "l m"]:
        """Return what a measurement is multiplied by in its own prediction, but for its part of the projections.

        The prediction of y is y − (A·y)/Aᵢᵢ, of which A·y is y/ρ and a product with the eigenvectors. The mean of the
        other spots of its section is lower by y/others, and that changes the prediction as well.

        Parameters
        ----------
        of_mean
            Projections of the members of each section, 1 or 0, on the eigenvectors.
        sections
            Section of each spot to predict.
        others
            Number of the other spots in it.
        used
            Ratios that have weight; others keep 0.
        """
        noise, dtype, number = self.ratios[used], self.vectors.dtype, of_mean.shape[1]
        change = (1 / (self.eigenvalues[:, None] + noise) - 1 / noise).astype(dtype)
        # every section for every ratio
        solved = self.vectors @ (change[:, :, None] * of_mean[:, None, :]).reshape(len(change), -1)
        solved = solved.reshape(len(sections), len(used), number)[np.arange(len(sections)), :, sections]
        solved = solved + 1 / noise
        result = np.zeros((len(sections), len(self.ratios)))
        # 1 − 1/(ρ·Aᵢᵢ) is (Aᵢᵢ − 1/ρ)/Aᵢᵢ, without the difference of two numbers near 1
        of_others = solved / others
        result[:, used] = (self.diagonals[:, used] - of_others) / self._diagonal(used) + 1 / others
        return result

    def _diagonal(self, used: Int[np.ndarray, " u"]) -> Float[np.ndarray, "l u"]:
        return np.asarray(self.diagonals[:, used] + (1 / self.ratios[used]).astype(self.diagonals.dtype))
