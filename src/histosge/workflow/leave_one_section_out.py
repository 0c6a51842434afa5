"""Each section predicted from its image by what the others have taught."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histosge._runtime.types import Array
from histosge.metrics.pearson import pearson
from histosge.models.base import Runtime
from histosge.prediction.calibration import calibration_factor
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel
from histosge.section.locations import at_spots
from histosge.section.multi_section import Pool
from histosge.section.section import Section

from .fit import Compute, Fitted, predict_unseen, prepare_all
from .origin import Origin
from .section_accuracy import Elsewhere

__all__ = ["crosscheck"]

# share of the values that intervals are to hold
_LEVEL = 0.9


def crosscheck(sections: Sequence[Section], fitted: Fitted, compute: Compute = Compute()) -> Elsewhere | None:
    """Leave out each section in turn, fit the others alike, predict it from its image, and compare.

    What holds for sections at hand tells how far to trust a prediction of one of which nothing was measured, as long
    as it is of their kind. The genes are those that were chosen for all of them, the section left out among them; which
    factors they make is learnt without it.

    Parameters
    ----------
    sections
        Those that were fitted, in their order.
    fitted
        To all of them; its genes are asked for.
    compute
        Where; features in its store are not computed again.

    Returns
    -------
    ``None`` for fewer than two sections: none is left to learn from.
    """
    if len(sections) < 2:
        return None
    columns = Pool.of(sections[0], sections[1:]).columns_of(fitted.panel)
    skills, errors, spreads = [], [], []
    for left, section in enumerate(sections):
        measured = log_cp10k(section.counts, columns=columns[left]).toarray()
        prediction = _from_others(sections, columns, left, fitted, compute)
        skills.append(np.nan_to_num(pearson(measured, prediction.mean.astype(np.float64))))
        if prediction.sd is not None:
            errors.append(measured - prediction.mean)
            spreads.append(prediction.sd)
    skill = tuple(float(value) for value in np.mean(skills, axis=0))
    if not errors:
        return Elsewhere(len(sections), skill, None, (1.0,) * len(skill))
    stretch, table = calibration_factor(np.concatenate(errors), np.concatenate(spreads))
    covered = table["raw"][table["levels"].index(_LEVEL)]
    return Elsewhere(len(sections), skill, covered, tuple(float(value) for value in np.maximum(stretch, 1.0)))


def _from_others(
    sections: Sequence[Section], columns: Sequence[Array], left: int, fitted: Fitted, compute: Compute
) -> Prediction:
    """Predict the spots of one section from its image, as a fit to the others does."""
    rest = [row for row in range(len(sections)) if row != left]
    pool = Pool.of(sections[rest[0]], [sections[row] for row in rest[1:]])
    panel = GenePanel(fitted.panel.names, columns[rest[0]], fitted.recipe.genes)
    samples = pool.gather(panel, prepare_all(pool.sections, fitted.model.needs, fitted.encoder, compute))
    runtime = Runtime(compute.device, compute.precision, None, compute.progress)
    predictor = fitted.model.fit(samples, seed=fitted.recipe.seed, runtime=runtime)
    origin = Origin.of(pool.target, panel)
    others = Fitted(
        fitted.recipe, fitted.model, predictor, fitted.encoder, panel, "", pool.told(), origin=origin
    )
    return predict_unseen(others, sections[left], at_spots(sections[left]), compute)
