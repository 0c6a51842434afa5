"""Where a predicted pattern comes from: position, what the tissue looks like, spots of other sections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError

__all__ = ["ORIGINS", "Attribution"]

#: what a prediction is a sum of: measurements of the section, by position and by its image, and those of its siblings
ORIGINS = ("position", "histology", "auxiliary")
# variance of a pattern below which there is none, in squared log1p(CP10k)
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Covariances of the parts of each field with the whole of each other one; any gene's shares follow from them.

    A field is a sum of three parts, of :data:`ORIGINS`. A gene is a sum of fields, so that its parts and their
    covariances with the whole are quadratic in its loadings, whether it was fitted or not.

    Parameters
    ----------
    forms
        One symmetric matrix of fields × fields for each origin; their sum is the covariance of the fields.
    """

    forms: Float[np.ndarray, "o k k"]

    def __post_init__(self) -> None:
        shape = np.shape(self.forms)
        if len(shape) != 3 or shape[0] != len(ORIGINS) or shape[1] != shape[2]:
            raise DataError(f"Expected {len(ORIGINS)} matrices of factors × factors, got {shape}.")
        object.__setattr__(self, "forms", frozen(self.forms))

    @classmethod
    def of(cls, parts: Float[np.ndarray, "3 n k"]) -> Attribution:
        """Compare the parts of each field at some places, in the order of :data:`ORIGINS`, with the whole."""
        parts = parts - parts.mean(axis=1, keepdims=True)
        whole = parts.sum(axis=0)
        forms = np.stack([whole.T @ part for part in parts]) / max(len(whole), 1)
        return cls((forms + forms.transpose(0, 2, 1)) / 2)

    def shares(self, loadings: Float[np.ndarray, "g k"]) -> Float[np.ndarray, "g 3"]:
        """Return what share of each gene's pattern comes from each of :data:`ORIGINS`.

        The share is the covariance of the part with the whole over the variance of the whole. The three add up to 1.
        A part that runs against the whole counts as 0, and the others make up the 1; a gene without a pattern has
        three shares of 0.
        """
        weights = np.asarray(loadings, dtype=np.float64)
        with_whole = np.column_stack([((weights @ form) * weights).sum(axis=1) for form in self.forms])
        varies = with_whole.sum(axis=1, keepdims=True) > _LEAST
        kept: Array = np.maximum(with_whole, 0.0)
        total = kept.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(kept, total, out=np.zeros_like(kept), where=varies))

    def as_auxiliary(self) -> Attribution:
        """Return the sources at places of a section of which no spot was fitted: all is the other sections'."""
        forms = np.zeros_like(self.forms)
        forms[ORIGINS.index("auxiliary")] = self.forms.sum(axis=0)
        return Attribution(forms)
