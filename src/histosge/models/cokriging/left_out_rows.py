"""Leave-one-out predictions of many targets at some spots, averaged over the noise-to-signal ratio of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.types import Float, Int

__all__ = ["LeftOutRows", "change_of_inverse", "on_every_second"]

# eigenvalues below this part of the noise change an inverse by less than this part
_LEAST_PART = 1e-4


def change_of_inverse(
    eigenvalues: Float[np.ndarray, " r"], noise: float, dtype: Any
) -> Float[np.ndarray, "m 1"]:
    """Return what the inverse of covariance and noise is along the leading eigenvectors, beyond that of the noise.

    Outside the eigenvectors the covariance is 0, and the inverse is that of the noise alone.
    """
    kept = max(1, int(np.searchsorted(-eigenvalues, -_LEAST_PART * noise)))
    return np.asarray((1 / (eigenvalues[:kept, None] + noise) - 1 / noise).astype(dtype))


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

    def predict(
        self,
        values: Float[np.ndarray, "l q"],
        projections: Float[np.ndarray, "r q"],
        weight: Float[np.ndarray, "m q"],
        own: Float[np.ndarray, "l m"],
    ) -> Float[np.ndarray, "l q"]:
        """Return predictions averaged over the ratio (Eq. 12 of docs/method.md).

        Parameters
        ----------
        values
            Centred measurements at the spots to predict.
        projections
            Of the measurements of all spots on the eigenvectors.
        weight
            Of each ratio for each target; they add up to 1.
        own
            As from :meth:`own`.
        """
        dtype = self.vectors.dtype
        # targets of like ratios beside each other, so that those of one ratio are a slice
        order = np.argsort(np.arange(len(self.ratios)) @ weight, kind="stable")
        projections, weight = projections[:, order], weight[:, order]
        total = values[:, order] * (own @ weight).astype(dtype)
        for ratio in np.flatnonzero(weight.any(axis=1)).tolist():
            filled = np.flatnonzero(weight[ratio])
            some = slice(filled[0], filled[-1] + 1)
            change = change_of_inverse(self.eigenvalues, self.ratios[ratio], dtype)
            columns = projections[: len(change), some] * (change * weight[ratio, some].astype(dtype))
            total[:, some] -= self.vectors[:, : len(change)] @ columns / self._diagonal(ratio)
        result = np.empty_like(total)
        result[:, order] = total
        return np.asarray(result)

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
        result = np.zeros((len(sections), len(self.ratios)))
        for ratio in used.tolist():
            noise, diagonal = self.ratios[ratio], self._diagonal(ratio)
            change = change_of_inverse(self.eigenvalues, noise, self.vectors.dtype)
            solved = self.vectors[:, : len(change)] @ (change * of_mean[: len(change)])
            solved = np.take_along_axis(solved, sections[:, None], axis=1) + 1 / noise
            # 1 − 1/(ρ·Aᵢᵢ) is (Aᵢᵢ − 1/ρ)/Aᵢᵢ, without the difference of two numbers near 1
            result[:, [ratio]] = (self.diagonals[:, [ratio]] - solved / others) / diagonal + 1 / others
        return result

    def _diagonal(self, ratio: int) -> Float[np.ndarray, "l 1"]:
        noise = np.asarray(1 / self.ratios[ratio], dtype=self.diagonals.dtype)
        return np.asarray(self.diagonals[:, [ratio]] + noise)
