"""Cokriging solved: a few fields over places that carry every gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float, Int
from histosge.models.blocks import runs
from histosge.prediction.calibration import calibration_factor, pooled, skill
from histosge.prediction.factored import Basis
from histosge.section.inputs import Samples

from .eigensolver import Spectrum
from .inducing_points import evenly
from .standardise import Standard, principal

__all__ = ["Fields", "basis_of"]

# spots × genes answered at once on a core, which holds some arrays of that size; but no fewer genes than this
_AT_ONCE, _LEAST_GENES = 800_000, 64
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
        gene_weight: float,
        most: int,
        lenders: Int[np.ndarray, " l"],
    ) -> tuple[Fields, Float[np.ndarray, "m k"]]:
        """Krige factors, and with ``gene_weight`` each gene for itself; carry the sum by at most ``most`` fields.

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
        kriged = _kriged(spectrum, values @ loadings.T, lenders)
        sums = [(1 - gene_weight) * part @ loadings.astype(part.dtype) for part in kriged]

        def add(genes: slice) -> None:
            for whole, own in zip(sums, _kriged(spectrum, values[:, genes], lenders), strict=True):
                whole[:, genes] += gene_weight * own

        if gene_weight > 0:
            map_parts(add, runs(values.shape[1], max(_LEAST_GENES, _AT_ONCE // len(values))))
        along, left_out, *lent = sums
        root = np.sqrt(spectrum.power).astype(along.dtype)
        turn = principal(root[:, None] * along, most, _SHARE)
        doubts = spectrum.answer(values @ turn.T)
        unsure = min(_UNSURE, len(spectrum.power))
        back = turn.T.astype(along.dtype)
        dual = spectrum.dual @ (along @ back)
        found = cls(
            turn,
            dual,
            spectrum.dual[:, :unsure].astype(np.float32),
            doubts.kept[:unsure],
            doubts.variance,
            left_out @ turn.T,
            doubts.left_out_variance,
        )
        return found, spectrum.dual @ (lent[0] @ back) if lent else np.zeros_like(dual)

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
        known = (covariance.astype(np.float32, copy=False) @ self.doubt_dual) ** 2 @ self.kept
        variance = self.variance * np.maximum(prior[:, None] - known, 0.0)
        return covariance @ self.dual, np.sqrt(variance)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        return {f"fields.{item.name}": getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Fields:
        """Return what :meth:`arrays` was made of."""
        return cls(*(arrays[f"fields.{item.name}"] for item in fields(cls)))


def _kriged(spectrum: Spectrum, targets: Array, lenders: Array) -> list[Array]:
    """Return what targets say along the directions, what they say left out, and the part owed to lenders if any."""
    answers = spectrum.answer(targets)
    found = [answers.along, answers.left_out - answers.mean]
    return [*found, spectrum.along(answers, targets, lenders)] if len(lenders) else found


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
    left_out, left_out_variance = found.left_out[rows], found.left_out_variance[rows]
    noise_sd, factor, genes_skill = np.empty((3, len(samples.genes)))

    def judge(genes: slice) -> tuple[int, dict[str, list[float]]]:
        measured, means = samples.expression[rows, genes], standard.means[sections[rows], genes]
        expected = np.maximum(means + left_out @ loadings[genes].T, 0.0)
        error, latent = measured - expected, left_out_variance @ (loadings[genes] ** 2).T
        squared = (error**2).mean(axis=0)
        noise = np.maximum(squared - latent.mean(axis=0), _LEAST_NOISE * squared)
        factor[genes], table = calibration_factor(error, np.sqrt(latent + noise))
        noise_sd[genes], genes_skill[genes] = np.sqrt(noise), skill(measured - means, expected - means)
        return len(noise), table

    tables = map_parts(judge, runs(len(noise_sd), max(_LEAST_GENES, _AT_ONCE // len(rows))))
    return Basis(samples.genes, standard.offset(0), loadings, noise_sd, factor, genes_skill), pooled(tables)
