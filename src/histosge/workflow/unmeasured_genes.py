"""Genes that a section did not measure, predicted through gene programs that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.io.unmeasured_file import UNIT_LOG1P, UNIT_SD, write_unmeasured
from histosge.models.base import FactoredPredictor, Model
from histosge.prediction.accuracy import GRADES, NO_GRADE
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.gene_levels import GeneLevels, gene_levels
from histosge.prediction.mean_depth import refuse_depth_adjusted
from histosge.prediction.prediction import Prediction
from histosge.prediction.unmeasured_genes import GeneCovariance, held_out_genes
from histosge.programs.alignment import ProgramsLike, joined_programs, programs_of
from histosge.programs.gene_names import GeneNames
from histosge.programs.gene_programs import Programs
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.section.genes import GenePanel
from histosge.section.locations import Locations
from histosge.section.section import Section

from .compute import Compute
from .encode import encode
from .fit import Fit
from .recipe import Recipe

__all__ = ["UnmeasuredGenes", "predict_unmeasured", "refuse_unmeasured", "unmeasured_genes"]

# genes that a message names
_MOST_NAMED = 5
# of the matrix of all unmeasured genes at all locations
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class UnmeasuredGenes:
    """Patterns of genes that a section did not measure.

    Parameters
    ----------
    prediction
        Their mean at each location, in standard deviations of the gene about its mean in the section.
    ids
        Ensembl identifiers, where the gene programs have them.
    r, r_given_depth
        Correlation with a measurement that is to be expected at spots, and the same given the depth of the spots: of
        measured genes that were predicted as if they had not been measured, the mean of the 50 most alike.
    r_low, r_high
        Between these are 90 % of these genes.
    r_exchanged
        Mean r of these genes with the genes of the programs exchanged: what any programs would give.
    error
        Root mean square error of these genes, in standard deviations of the measurement.
    refused
        Genes of the programs that are not predicted, because nothing shows that genes like them can be.
    levels
        Mean and standard deviation of each gene in log1p(CP10k), from the gene programs; ``None`` where these do not
        hold levels, or not those of the section's measured genes.
    """

    prediction: Prediction
    ids: Array
    r: Float[np.ndarray, " g"]
    r_given_depth: Float[np.ndarray, " g"]
    r_low: Float[np.ndarray, " g"]
    r_high: Float[np.ndarray, " g"]
    r_exchanged: Float[np.ndarray, " g"]
    error: Float[np.ndarray, " g"]
    refused: tuple[str, ...]
    levels: GeneLevels | None = None

    @property
    def grade(self) -> Array:
        """Grade of each gene by the stricter of both correlations, see ``GRADES`` in :mod:`.prediction.accuracy`."""
        r = np.minimum(self.r, self.r_given_depth)
        result = np.full(len(r), NO_GRADE, dtype="<U8")
        for grade, least in reversed(GRADES.items()):
            result[r >= least] = grade
        return result

    @property
    def expression(self) -> Prediction:
        """Means and standard deviations in log1p(CP10k) where levels are known, else in standard deviations."""
        pattern, levels = self.prediction, self.levels
        if levels is None:
            sd = np.broadcast_to(self.error, pattern.mean.shape)
            mean = pattern.mean
        else:
            mean = np.maximum(levels.mean + levels.sd * pattern.mean, 0.0)
            # what the level is wrong by is part of what a measurement is from X
            of_gene = np.sqrt((self.error * levels.sd) ** 2 + levels.error**2)
            sd = np.broadcast_to(of_gene, pattern.mean.shape)
        return Prediction(
            pattern.locations,
            pattern.genes,
            np.asarray(mean, dtype=np.float32),
            np.asarray(sd, dtype=np.float32),
            provenance=pattern.provenance,
        )

    @property
    def columns(self) -> Mapping[str, Array]:
        """What is known of each gene, by the names of the columns of ``unmeasured.h5ad``."""
        numbers = ("r", "r_given_depth", "r_low", "r_high", "r_exchanged")
        content: dict[str, Array] = {"gene_ids": self.ids}
        content |= {name: np.asarray(getattr(self, name), dtype=np.float32) for name in numbers}
        content["grade"] = self.grade
        if self.levels is not None:
            content |= {name: np.asarray(getattr(self.levels, name), np.float32) for name in ("mean", "sd")}
        return content

    def write(self, path: Path, section: Section) -> Path:
        """Write them as ``unmeasured.h5ad``, see :func:`histosge.io.unmeasured_file.write_unmeasured`."""
        if self.levels is None:
            unit, level = UNIT_SD, "unknown: the gene programs do not hold the levels of this section's genes"
        else:
            unit = UNIT_LOG1P
            level = (
                "of the data of the gene programs, by a line over the measured genes: over these, means in both "
                f"correlate by {self.levels.r:.2f}, and the line is wrong by {self.levels.error:.2f} (standard "
                "deviation)"
            )
        return write_unmeasured(path, section, self.expression, columns=self.columns, unit=unit, level=level)

    @property
    def message(self) -> Message:
        """What a user should know of them."""
        number, refused = len(self.prediction.genes), len(self.refused)
        text = f"{number} genes that were never measured here were predicted through gene programs"
        named = ", ".join(self.refused[:_MOST_NAMED]) + (", …" if refused > _MOST_NAMED else "")
        others = (
            f"; {refused} were not, because nothing shows that genes like them can be: {named}"
            if refused
            else ""
        )
        return Message("info" if number else "warning", f"{text}{others}.")

    def as_dict(self) -> dict[str, Any]:
        """Return what ``run.json`` says of them."""
        levels = None if self.levels is None else {"r": self.levels.r, "error": self.levels.error}
        return {
            "genes": [str(name) for name in self.prediction.genes],
            "grades": self.grade.tolist(),
            "r": [round(float(value), 4) for value in self.r],
            "refused": list(self.refused),
            "levels": levels,
        }


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
    known = joined_programs(programs_of(programs))
    refuse_unmeasured(fit.recipe, fit.model, section, fit.panel, programs=known, genes=genes)
    inputs = encode(section, locations, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    factored = _by_factors(fit).factored(fit.inputs(inputs))
    return unmeasured_genes(fit, section, factored, known, genes=genes)


def refuse_unmeasured(
    recipe: Recipe,
    model: Model,
    section: Section,
    panel: GenePanel,
    *,
    programs: Programs,
    genes: Sequence[str] | None,
) -> None:
    """Refuse what cannot be predicted before anything is fitted; errors are those of :func:`predict_unmeasured`."""
    if not model.predicts_factors:
        raise _without_factors(recipe)
    if not section.has_counts:
        raise UsageError(
            f"Nothing was measured in '{section.name}': unmeasured genes follow measured ones, and need counts."
        )
    refuse_depth_adjusted({"recipe": recipe.as_dict()}, "Prediction of unmeasured genes")
    _fitted(panel, section, programs)
    _asked(programs, section, genes)


def unmeasured_genes(
    fit: Fit,
    section: Section,
    factored: FactoredPrediction,
    programs: Programs,
    *,
    genes: Sequence[str] | None = None,
) -> UnmeasuredGenes:
    """Predict genes outside a panel where the factors are predicted already; see :func:`predict_unmeasured`."""
    basis = factored.basis
    fitted, columns = _fitted(fit.panel, section, programs)
    loadings = np.asarray(basis.loadings[basis.columns(fit.panel.names[fitted].tolist())], dtype=np.float64)
    expression = log_cp10k(section.counts, columns=fit.panel.columns[fitted]).toarray()
    scores = _by_factors(fit).left_out_scores()[0][: len(section)]
    covariance = GeneCovariance(programs.scaled)
    held_out = held_out_genes(
        covariance,
        columns[fitted],
        names=fit.panel.names[fitted],
        expression=expression,
        predicted=scores @ loadings.T,
        log_depth=log_depth(depth(section.counts)),
    )
    asked = _asked(programs, section, genes)
    weights, expected = covariance.weights(columns[fitted], asked)
    accuracy = held_out.r_of(expected)
    shown = np.isfinite(accuracy[0])
    sd = expression.std(axis=0)
    inverse = np.divide(1.0, sd, out=np.zeros(len(sd)), where=sd > 0)
    # patterns are 0 on average over the spots
    per_score = np.asarray((loadings.T * inverse) @ weights[shown].T, dtype=np.float32)
    _refuse_size(len(factored), per_score.shape[1])
    pattern = np.asarray(factored.scores - scores.mean(axis=0), dtype=np.float32) @ per_score
    names = programs.genes.take(asked[shown])
    prediction = Prediction(factored.locations, names.shown, pattern, None, provenance=factored.provenance)
    refused = tuple(str(name) for name in programs.genes.shown[asked[~shown]])
    levels = _levels(programs, columns[fitted], asked[shown], expression)
    return UnmeasuredGenes(prediction, names.ids, *accuracy[:, shown], refused=refused, levels=levels)


def _levels(programs: Programs, known: Array, asked: Array, expression: Array) -> GeneLevels | None:
    """Return levels of the genes asked for, by those of measured genes; ``None`` where there are none to go by."""
    if programs.levels is None or not len(asked):
        return None
    own = np.stack([expression.mean(axis=0), expression.std(axis=0)])
    return gene_levels(programs.levels[:, known], own, programs.levels[:, asked])


def _by_factors(fit: Fit) -> FactoredPredictor:
    """Return the predictor of a fit by factors."""
    if not isinstance(fit.predictor, FactoredPredictor):
        raise _without_factors(fit.recipe)
    return fit.predictor


def _without_factors(recipe: Recipe) -> UsageError:
    return UsageError(
        f"Expected a model of factors, as cokriging is, got '{recipe.model}', of which no gene follows another."
    )


def _refuse_size(locations: int, genes: int) -> None:
    """Refuse a matrix that would fill the memory."""
    if 4 * locations * genes > _MAX_BYTES:
        raise UsageError(
            f"{genes} unmeasured genes at {locations} locations are too many for the memory. Name those to predict in "
            "`unmeasured`."
        )


def _fitted(panel: GenePanel, section: Section, programs: Programs) -> tuple[Array, Array]:
    """Return the genes of the panel that the programs have, and the position of each of the panel in the programs."""
    names = GeneNames.of(panel.names, section.gene_ids[panel.columns])
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
