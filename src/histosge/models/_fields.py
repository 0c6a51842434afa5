"""Cokriging solved: a few fields over places that carry every gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from .._types import Array, Float, Int
from ..factored import Basis
from ..inputs import Samples
from ._calibration import inflation, skill
from ._landmarks import evenly
from ._spectrum import Spectrum
from ._standard import Standard, principal

__all__ = ["Fields", "basis_of"]

# spots × genes answered at once: some arrays of that size are held
_AT_ONCE = 10_000_000
# directions that the uncertainty of a new place is reckoned along; all others change it by little, and upwards
_UNSURE = 600
# of what all fields explain together; the rest is not worth a field
_SHARE = 0.9999
# noise is at least this share of the squared error: no gene is measured without
_LEAST_NOISE = 0.05
# spots of the section predicted that calibration needs: fewer say nothing of tails
_ENOUGH = 40
# spots that noise, calibration and skill are learnt from: enough for a quantile of each gene
_ASKED = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What kriging found, in the scale of standardised expression.

    Parameters
    ----------
    loadings
        k × g, orthonormal: the direction in which each field moves all genes.
    dual
        From covariances with the landmarks to the fields.
    doubt_dual, kept
        From the same to the directions that uncertainty is reckoned along, and the share of each field's prior
        variance that measuring has removed along each.
    variance
        Prior variance of each field.
    left_out, left_out_variance
        Mean and variance of each field at each fitted spot, predicted from all other spots.
    """

    loadings: Float[np.ndarray, "k g"]
    dual: Float[np.ndarray, "m k"]
    doubt_dual: Float[np.ndarray, "m r"]
    kept: Float[np.ndarray, "r k"]
    variance: Float[np.ndarray, " k"]
    left_out: Float[np.ndarray, "n k"]
    left_out_variance: Float[np.ndarray, "n k"]

    @classmethod
    def solve(
        cls,
        spectrum: Spectrum,
        values: Float[np.ndarray, "n g"],
        loadings: Float[np.ndarray, "f g"],
        *,
        gene_share: float,
        most: int,
        lenders: Int[np.ndarray, " l"],
    ) -> tuple[Fields, Float[np.ndarray, "m k"]]:
        """Krige factors, and with weight ``gene_share`` each gene for itself; carry the sum by at most ``most`` fields.

        The second value is the part of the fields' dual that is owed to what was measured at ``lenders``.

        Parameters
        ----------
        spectrum
            Of the covariance of the fitted spots.
        values
            Standardised expression.
        loadings
            Its principal directions: of the factors.
        lenders
            Rows of the spots of other sections.
        """
        factors = values @ loadings.T
        answers = spectrum.answer(factors)
        along = (1 - gene_share) * answers.along @ loadings
        lent = (
            (1 - gene_share) * spectrum.along(answers, factors, lenders) @ loadings if len(lenders) else None
        )
        left_out = (1 - gene_share) * (answers.left_out - answers.mean) @ loadings
        if gene_share > 0:
            step = max(1, _AT_ONCE // len(values))
            for start in range(0, values.shape[1], step):
                part = slice(start, start + step)
                genes = spectrum.answer(values[:, part])
                along[:, part] += gene_share * genes.along
                left_out[:, part] += gene_share * (genes.left_out - genes.mean)
                if lent is not None:
                    lent[:, part] += gene_share * spectrum.along(genes, values[:, part], lenders)
        turn = principal(np.sqrt(spectrum.power)[:, None] * along, most, _SHARE)
        doubts = spectrum.answer(values @ turn.T)
        unsure = min(_UNSURE, len(spectrum.power))
        dual = spectrum.dual @ (along @ turn.T)
        found = cls(
            turn,
            dual,
            spectrum.dual[:, :unsure].astype(np.float32),
            doubts.kept[:unsure],
            doubts.variance,
            left_out @ turn.T,
            doubts.left_out_variance,
        )
        return found, np.zeros_like(dual) if lent is None else spectrum.dual @ (lent @ turn.T)

    def at(
        self, covariance: Float[np.ndarray, "b m"], prior: Float[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, "b k"], Float[np.ndarray, "b k"]]:
        """Return mean and standard deviation of each field at places.

        Parameters
        ----------
        covariance
            Of the places with the landmarks.
        prior
            Variance of each place before anything was measured.
        """
        known = (covariance.astype(np.float32) @ self.doubt_dual) ** 2 @ self.kept
        variance = self.variance * np.maximum(prior[:, None] - known, 0.0)
        return covariance @ self.dual, np.sqrt(variance)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"fields.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Fields:
        """Return what :meth:`arrays` was made of."""
        return cls(*(arrays[f"fields.{item.name}"] for item in fields(cls)))


def basis_of(found: Fields, samples: Samples, standard: Standard) -> tuple[Basis, dict[str, list[float]]]:
    """Return genes in terms of fields, in log1p(CP10k) of the first section, and how intervals cover.

    Noise, calibration and skill of each gene come from predictions of each spot from all others: of spots of the first
    section, which is the one predicted, where enough of them are fitted. Skill is that within sections.
    """
    loadings = (found.loadings * standard.back).T
    sections = samples.inputs.section_index
    own = np.flatnonzero(sections == 0)
    rows = own if len(own) >= _ENOUGH else np.arange(len(samples))
    rows = rows[evenly(len(rows), _ASKED)]
    measured, means = samples.expression[rows], standard.means[sections[rows]]
    expected = np.maximum(means + found.left_out[rows] @ loadings.T, 0.0)
    error = measured - expected
    latent = found.left_out_variance[rows] @ (loadings**2).T
    squared = (error**2).mean(axis=0)
    nugget = np.sqrt(np.maximum(squared - latent.mean(axis=0), _LEAST_NOISE * squared))
    spread = np.sqrt(latent + nugget**2)
    factor, calibration = inflation(error, spread)
    genes_skill = skill(measured - means, expected - means)
    return Basis(samples.genes, standard.offset(0), loadings, nugget, factor, genes_skill), calibration
