"""Leave-one-section-out cross-validation: predict each section from its image, with a fit to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histosge._runtime.types import Array
from histosge.metrics.pearson import pearson
from histosge.models.gene_order import in_gene_order
from histosge.prediction.calibration import calibration_factor, coverage
from histosge.prediction.prediction import Prediction
from histosge.section.depth_adjusted import depth_adjusted
from histosge.section.expression import depth, log_cp10k
from histosge.section.genes import GenePanel
from histosge.section.locations import at_spots
from histosge.section.multi_section import SectionGroup
from histosge.section.section import Section

from .compute import Compute
from .encode import encode_spots
from .fit import Fit
from .fit_metadata import FitMetadata, FittedSection
from .predict import predict_from_image
from .section_accuracy import SectionAccuracy

__all__ = ["section_accuracy"]

# nominal coverage of the intervals that are calibrated
_LEVEL = 0.9


def section_accuracy(
    sections: Sequence[Section], fit: Fit, *, compute: Compute = Compute()
) -> SectionAccuracy | None:
    """Leave out each section in turn, fit the others, predict it from its image, and compare with its counts.

    The result shows how far to trust the prediction of a further section of the same kind. Genes are those of ``fit``:
    they were chosen on all sections, the one left out among them. Factors are fitted without it.

    Parameters
    ----------
    sections
        Those that were fitted, in their order.
    fit
        The fit to all of them.
    compute
        Device and store; stored image features are not computed again.

    Returns
    -------
    ``None`` for fewer than two sections, where nothing would be left to fit.
    """
    if len(sections) < 2:
        return None
    columns = SectionGroup.of(sections[0], sections[1:]).columns_of(fit.panel)
    correlations, errors, sds = [], [], []
    for left_out, section in enumerate(sections):
        measured = log_cp10k(section.counts, columns=columns[left_out]).toarray()
        if fit.recipe.depth_adjusted:
            # what is predicted: expression at the mean depth of the section
            measured = depth_adjusted(measured, depth(section.counts))
        # counts of the section left out are read here alone, to compare with
        prediction = _predicted_from_others(sections, columns, left_out, fit=fit, compute=compute)
        correlations.append(np.nan_to_num(pearson(measured, prediction.mean.astype(np.float64))))
        if prediction.sd is not None:
            errors.append(measured - prediction.mean)
            sds.append(prediction.sd)
    r = tuple(float(value) for value in np.mean(correlations, axis=0))
    if not errors:
        return SectionAccuracy(len(sections), r, None, (1.0,) * len(r))
    error, sd = np.concatenate(errors), np.concatenate(sds)
    factor = calibration_factor(error, sd)
    table = coverage(error, sd, factor)
    covered = table["raw"][table["levels"].index(_LEVEL)]
    # intervals are widened where sections differ, and never narrowed: there are few sections to learn that from
    widened = tuple(float(value) for value in np.maximum(factor, 1.0))
    return SectionAccuracy(len(sections), r, covered, widened)


def _predicted_from_others(
    sections: Sequence[Section], columns: Sequence[Array], left_out: int, *, fit: Fit, compute: Compute
) -> Prediction:
    """Predict the spots of one section from its image, with a fit to the others."""
    # the panel stays: one gene list for all sections makes their correlations comparable
    rest = [row for row in range(len(sections)) if row != left_out]
    pool = SectionGroup.of(sections[rest[0]], [sections[row] for row in rest[1:]])
    panel = GenePanel(fit.panel.names, columns[rest[0]], fit.recipe.genes_text)
    inputs = encode_spots(pool.sections, needs=fit.model.needs, encoder=fit.encoder, compute=compute)
    samples = pool.gather(
        panel.by_name(),
        inputs,
        depth_adjusted=fit.recipe.depth_adjusted,
        sparse_expression=fit.model.reads_sparse(len(pool)),
    )
    samples = replace(samples if fit.programs is None else fit.programs.joined(samples), alike=True)
    fitted = fit.model.fit(samples, seed=fit.recipe.seed, runtime=compute.runtime())
    predictor = in_gene_order(fitted, panel.names)
    metadata = FitMetadata(fit.recipe, FittedSection.of(pool.target, panel), pool.auxiliary_summary())
    others = Fit(metadata, fit.model, predictor, encoder=fit.encoder, panel=panel, key="")
    section = sections[left_out]
    return predict_from_image(others, section, at_spots(section), compute=compute)
