"""A prediction of one section, complete and ready to be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.figures import markers
from histosge.images.tissue import TissueMask
from histosge.models.base import Block, FactoredPredictor
from histosge.models.base import predict as predict_inputs
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.gene_families import families_of
from histosge.section.inputs import Inputs
from histosge.section.locations import Locations
from histosge.section.section import Section
from histosge.section.target import Target
from histosge.section.variable_genes import spots_with_counts
from histosge.section.written_genes import WrittenGenes

from .beyond_spots import as_plain, beyond_messages, known_by_distance, with_error_away
from .cell_scale import with_cell_scale
from .compute import Compute
from .predict import Fitted
from .written_genes import GenesWritten, Named, few_genes_written, genes_written

__all__ = ["SectionPrediction", "Task", "predict_section"]

# locations on which genes for figures are chosen, where nothing was measured
_SAMPLE = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is to be predicted.

    Parameters
    ----------
    section
        Which section.
    target
        Where, as the user asked for it.
    mask
        Its tissue.
    locations
        The locations of the target.
    """

    section: Section
    target: Target
    mask: TissueMask
    locations: Locations


@dataclass(frozen=True, slots=True, eq=False)
class SectionPrediction:
    """A prediction and what its files need beside it.

    Parameters
    ----------
    task
        Section and locations.
    written
        The genes to write, those fitted and others, and why.
    blocks
        Their predictions in pieces, to be read once: all of them need not fit into memory.
    factored
        The prediction as factors, which may hold further genes; ``None`` for models without factors.
    genes_shown
        Genes for figures.
    missing_genes
        Names in the user's list of genes that are no genes of the section.
    auxiliary
        Names of the sections fitted beside this one.
    provenance
        What made it; plain values.
    """

    task: Task
    written: GenesWritten
    blocks: Iterator[Block]
    factored: FactoredPrediction | None
    genes_shown: tuple[str, ...]
    missing_genes: tuple[str, ...]
    auxiliary: tuple[str, ...]
    provenance: Mapping[str, Any]

    def with_messages(self, *messages: Message) -> SectionPrediction:
        """Return the prediction of a section with further messages."""
        return replace(self, task=replace(self.task, section=self.task.section.with_messages(*messages)))

    @property
    def genes(self) -> Array:
        """Names of the genes to write."""
        return self.written.genes


def predict_section(
    fitted: Fitted,
    task: Task,
    inputs: Inputs,
    *,
    named: Named = Named(),
    write: WrittenGenes = WrittenGenes(),
    provenance: Mapping[str, Any],
    compute: Compute = Compute(),
) -> SectionPrediction:
    """Predict the locations of a task, once.

    Parameters
    ----------
    fitted
        A fit to the section of the task, or one transferred to it.
    task
        Section and locations.
    inputs
        Of these locations, as :func:`~histosge.workflow.encode.encode` returns them.
    named
        Genes that the user names; none to show chooses reliable ones of different patterns.
    write
        Which others to write.
    provenance
        Travels in every file; what single cells are reliable for is added to its accuracy.
    compute
        Device and store of image features.
    """
    # predicted once for files, figures and formats
    inputs = fitted.inputs(inputs)
    predictor, factored = fitted.predictor, None
    if isinstance(predictor, FactoredPredictor):
        factored = predictor.factored(inputs)
        factored = replace(factored, basis=fitted.completed(factored.basis, task.section))
        factored, sentence = with_cell_scale(factored, fitted, task.section, inputs, compute=compute)
        if sentence:
            provenance = {**provenance, "accuracy": [*provenance.get("accuracy", ()), sentence]}
        factored, provenance = _with_totals(factored, fitted, task.section, provenance)
        factored, task, provenance = _beyond(factored, task, fitted, provenance, compute=compute)
        factored = replace(factored, provenance=provenance)
    basis = None if factored is None else factored.basis
    written = genes_written(write, named, section=task.section, panel=predictor.genes, basis=basis)
    shown = named.shown or _structured_genes(fitted, task, inputs, factored=factored)
    if factored is not None:
        shown_or_named = replace(named, shown=shown)
        written, messages = few_genes_written(write, written, shown_or_named, locations=len(inputs))
        task = replace(task, section=task.section.with_messages(*messages))
        blocks = factored.blocks([str(name) for name in written.genes], observation=True)
    else:
        blocks = predictor.blocks(inputs)
    return SectionPrediction(
        task=task,
        written=written,
        blocks=blocks,
        factored=factored,
        genes_shown=shown,
        missing_genes=(*fitted.panel.missing, *named.missing),
        auxiliary=tuple(section.name for section in fitted.auxiliary),
        provenance=provenance,
    )


def _beyond(
    factored: FactoredPrediction,
    task: Task,
    fitted: Fitted,
    provenance: Mapping[str, Any],
    *,
    compute: Compute,
) -> tuple[FactoredPrediction, Task, Mapping[str, Any]]:
    """Return the prediction with the errors beyond the spots, the task with a warning of them, and the provenance."""
    if not task.section.has_counts:
        return factored, task, provenance
    factored, away = with_error_away(factored, fitted, task.section, compute)
    known = known_by_distance(task.section, factored, away)
    if not known:
        return factored, task, provenance
    section = task.section.with_messages(*beyond_messages(task.section, known, away))
    provenance = {**provenance, "beyond_spots": as_plain(known)}
    return factored, replace(task, section=section), provenance


def _with_totals(
    factored: FactoredPrediction, fitted: Fitted, section: Section, provenance: Mapping[str, Any]
) -> tuple[FactoredPrediction, Mapping[str, Any]]:
    """Return the prediction with total counts, and the provenance with how well they are known."""
    totals = fitted.total_counts(section)
    if totals is None:
        return factored, provenance
    known = {"r_loo": totals.r_loo, "log_sd": totals.log_sd}
    return replace(factored, total_counts=totals.at(factored.scores)), {**provenance, "total_counts": known}


def _structured_genes(
    fitted: Fitted, task: Task, inputs: Inputs, *, factored: FactoredPrediction | None
) -> tuple[str, ...]:
    """Return fitted genes of different patterns, the accurate ones where accuracy is known."""
    # locations are many where they are dense, and neighbours alike: a sample shows the pattern
    rows = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), _SAMPLE)).astype(int))
    if factored is not None and (task.section.has_counts or fitted.accuracy is not None):
        return _diverse_genes(factored.take(rows).only([str(name) for name in fitted.genes]), task.section)
    if task.section.has_counts:
        return markers.choose_markers(task.section, fitted.panel.names)
    if factored is None:
        sample: Prediction = predict_inputs(fitted.predictor, inputs.take(rows))
    else:
        sample = factored.take(rows).whole([str(name) for name in fitted.genes])
    return markers.choose_predicted_markers(sample)


def _diverse_genes(factored: FactoredPrediction, section: Section) -> tuple[str, ...]:
    """Return genes of different patterns, each the most accurate of its pattern."""
    basis, columns = factored.basis, section.columns(factored.genes)
    # the stricter of both correlations: the largest r is often that of total counts
    accuracy = np.fmin(basis.r_loo, basis.r_loo_given_depth)
    counted = spots_with_counts(section.counts)[columns] / len(section)
    chosen = markers.choose_diverse_markers(
        factored.means(np.arange(len(basis))),
        accuracy,
        detected=counted if section.has_counts else np.ones(len(columns)),
        families=families_of(factored.genes, section.gene_ids[columns]),
    )
    return tuple(str(factored.genes[column]) for column in chosen)
