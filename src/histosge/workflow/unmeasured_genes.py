"""Genes that a section did not measure, predicted through gene programs that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.models.base import FactoredPredictor
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.prediction.prediction import Prediction
from histosge.prediction.unmeasured_genes import GeneCovariance, HeldOutGenes, held_out_genes
from histosge.programs.alignment import ProgramsLike, joined_programs, programs_of
from histosge.programs.gene_names import GeneNames
from histosge.programs.gene_programs import Programs
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.section.locations import Locations
from histosge.section.section import Section

from .compute import Compute
from .encode import encode
from .fit import Fit

__all__ = ["UnmeasuredGenes", "predict_unmeasured"]


@dataclass(frozen=True, slots=True, eq=False)
class UnmeasuredGenes:
    """Patterns of genes that a section did not measure.

    Parameters
    ----------
    prediction
        Their mean at each location, in standard deviations of the gene about its mean in the section: no other data
        tell the level that it has there. No standard deviation is known.
    r, r_given_depth
        Correlation with a measurement that is to be expected at spots, and the same given the depth of the spots: of
        measured genes that were predicted as if they had not been measured, the mean of the 50 most alike.
    r_low, r_high
        Between these are 90 % of these genes.
    r_exchanged
        Mean r of these genes with the genes of the programs exchanged: what any programs would give.
    refused
        Genes of the programs that are not predicted, because nothing shows that genes like them can be.
    """

    prediction: Prediction
    r: Float[np.ndarray, " g"]
    r_given_depth: Float[np.ndarray, " g"]
    r_low: Float[np.ndarray, " g"]
    r_high: Float[np.ndarray, " g"]
    r_exchanged: Float[np.ndarray, " g"]
    refused: tuple[str, ...]


def predict_unmeasured(
    fit: Fit,
    section: Section,
    locations: Locations,
    programs: ProgramsLike | Sequence[ProgramsLike],
    *,
    genes: Sequence[str] | None = None,
    compute: Compute = Compute(),
) -> UnmeasuredGenes:
    """Predict genes outside a panel from the genes in it, by their covariance in other data (Eq. 23 of docs/method.md).

    Parameters
    ----------
    fit
        A fit of the section by factors, such as that of ``cokriging``, with gene programs or without.
    section
        The fitted section.
    locations
        Where.
    programs
        Gene programs that have these genes, as for :func:`histosge.fit`.
    genes
        Names of genes; by default all that the programs have and the section has not.
    compute
        Device and store of image features.

    Raises
    ------
    UsageError
        For a model without factors, a fit with ``depth_adjusted``, and genes that the programs do not have or the
        section has measured.
    DataError
        Where fewer than 30 fitted genes are among those of the programs.
    """
    refuse_depth_adjusted({"recipe": fit.recipe.as_dict()}, "Prediction of unmeasured genes")
    predictor = fit.predictor
    if not isinstance(predictor, FactoredPredictor):
        raise UsageError(
            f"Expected a model of factors, as cokriging is, got '{fit.recipe.model}', of which no gene follows another."
        )
    known = joined_programs(programs_of(programs))
    inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    factored = predictor.factored(fit.inputs(inputs))
    basis = factored.basis
    fitted, columns = _fitted(fit, section, known)
    loadings = np.asarray(basis.loadings[basis.columns(fit.panel.names[fitted].tolist())], dtype=np.float64)
    expression = log_cp10k(section.counts, columns=fit.panel.columns[fitted]).toarray()
    scores = predictor.left_out_scores()[0][: len(section)]
    covariance = GeneCovariance(known.scaled)
    held_out = held_out_genes(
        covariance,
        columns[fitted],
        names=fit.panel.names[fitted],
        expression=expression,
        predicted=scores @ loadings.T,
        log_depth=log_depth(depth(section.counts)),
    )
    asked = _asked(known, section, genes)
    weights, expected = covariance.weights(columns[fitted], asked)
    sd = expression.std(axis=0)
    inverse = np.divide(1.0, sd, out=np.zeros(len(sd)), where=sd > 0)
    # patterns are 0 on average over the spots
    pattern = (factored.scores - scores.mean(axis=0)) @ (loadings.T * inverse) @ weights.T
    return _shown(known.genes.shown[asked], pattern, held_out, expected=expected, locations=locations)


def _shown(
    names: Array, pattern: Array, held_out: HeldOutGenes, *, expected: Array, locations: Locations
) -> UnmeasuredGenes:
    """Return the genes of which alike ones are predicted."""
    accuracy = held_out.r_of(expected)
    shown = np.isfinite(accuracy[0])
    prediction = Prediction(locations, names[shown], np.asarray(pattern[:, shown], dtype=np.float32), None)
    refused = tuple(str(name) for name in names[~shown])
    return UnmeasuredGenes(prediction, *accuracy[:, shown], refused=refused)


def _fitted(fit: Fit, section: Section, programs: Programs) -> tuple[Array, Array]:
    """Return the genes of the panel that the programs have, and the position of each of the panel in the programs."""
    names = GeneNames.of(fit.panel.names, section.gene_ids[fit.panel.columns])
    columns = names.positions_in(programs.genes)
    species = names.species
    if species and programs.species and species != programs.species:
        raise UsageError(
            f"Expected gene programs of {species}, got {programs.species}. Give programs of one species."
        )
    has_direction: Array = np.asarray(programs.directions.any(axis=0))
    return np.flatnonzero((columns >= 0) & has_direction[columns]), columns


def _asked(programs: Programs, section: Section, genes: Sequence[str] | None) -> Array:
    """Return the positions of the genes to predict."""
    at: Array = programs.genes.positions_in(GeneNames.of(section.genes, section.gene_ids))
    measured: Array = np.asarray(at >= 0)
    if genes is None:
        return np.flatnonzero(programs.directions.any(axis=0) & ~measured)
    asked = positions_or_refuse(genes, programs.genes.shown, "genes of the gene programs")
    if measured[asked].any():
        name = programs.genes.shown[asked[measured[asked]][0]]
        raise UsageError(
            f"'{name}' is measured in '{section.name}'. Fit it, or take it from the prediction of the fit."
        )
    return asked
