"""Variance attribution: how much of a prediction comes from position, histology and auxiliary sections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError

__all__ = ["COMPONENTS", "Attribution"]

#: components of a prediction: measurements of the section through position kernels, the same measurements through
#: image kernels, and measurements of auxiliary sections
COMPONENTS = ("position", "histology", "auxiliary")
# variance of a gene's prediction below which it does not vary, in squared log1p(CP10k)
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Covariances of the components of each factor with the whole of each other; the shares of any gene follow.

    A factor score is a sum of three components, :data:`COMPONENTS`. A gene is a sum of factors, so that the covariance
    of its components with the whole is quadratic in its loadings, whether the gene was fitted or not (Eq. 19 of
    docs/method.md).

    Parameters
    ----------
    forms
        One symmetric matrix of factors × factors for each component; their sum is the covariance of the factors.

    Raises
    ------
    DataError
        For arrays of another shape.
    """

    forms: Float[np.ndarray, "o k k"]

    def __post_init__(self) -> None:
        shape = np.shape(self.forms)
        if len(shape) != 3 or shape[0] != len(COMPONENTS) or shape[1] != shape[2]:
            raise DataError(f"Expected {len(COMPONENTS)} matrices of factors × factors, got {shape}.")
        object.__setattr__(self, "forms", frozen(self.forms))

    @classmethod
    def of(cls, components: Float[np.ndarray, "3 n k"]) -> Attribution:
        """Measure the covariances at some locations, with the components in the order of :data:`COMPONENTS`."""
        components = components - components.mean(axis=1, keepdims=True)
        whole = components.sum(axis=0)
        forms = np.stack([whole.T @ component for component in components]) / max(len(whole), 1)
        return cls((forms + forms.transpose(0, 2, 1)) / 2)

    def shares(self, loadings: Float[np.ndarray, "g k"]) -> Float[np.ndarray, "g 3"]:
        """Return the share of each component in the variance of each gene's prediction.

        A share is the covariance of the component with the whole over the variance of the whole; the three add up to
        1. A component of negative covariance has share 0, and the others add up to 1. A gene whose prediction does
        not vary has three shares of 0.
        """
        weights = np.asarray(loadings, dtype=np.float64)
        covariances = np.column_stack([((weights @ form) * weights).sum(axis=1) for form in self.forms])
        varies = covariances.sum(axis=1, keepdims=True) > _LEAST_VARIANCE
        positive: Array = np.maximum(covariances, 0.0)
        total = positive.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(positive, total, out=np.zeros_like(positive), where=varies))

    def as_auxiliary(self) -> Attribution:
        """Return the attribution in a section without training spots, where everything is of auxiliary sections."""
        forms = np.zeros_like(self.forms)
        forms[COMPONENTS.index("auxiliary")] = self.forms.sum(axis=0)
        return Attribution(forms)
