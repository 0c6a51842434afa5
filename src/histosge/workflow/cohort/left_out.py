"""How well a section is predicted from its image alone, with a fit to other sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.section.locations import at_spots
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.fit import FitPlan
from histosge.workflow.predict import predict_from_image
from histosge.workflow.recipe import Recipe

__all__ = ["left_out_accuracy"]


def left_out_accuracy(
    section: Section, others: Sequence[Section], recipe: Recipe, *, compute: Compute = Compute()
) -> Any:
    """Fit other sections, predict ``section`` from its image, and compare with its counts.

    Parameters
    ----------
    section
        Whose counts are read to compare with, and for nothing else: genes and model are those of the others.
    others
        Sections to fit, none of them before the others: a model that cannot use all spots takes a share of each.
    recipe
        What to fit.
    compute
        Device and store.

    Returns
    -------
    A table with a row for each gene that was fitted and that the section has: ``r``, the Pearson correlation over its
    spots, and ``r_given_depth``; 0 for a gene that is constant.

    Raises
    ------
    UsageError
        Where the sections have no gene in common.

    Examples
    --------
    >>> import histosge as hs
    >>> first, second, third = (hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in range(3))
    >>> left_out_accuracy(third, [first, second], hs.Recipe(genes="all")).columns.tolist()
    ['r', 'r_given_depth']
    """
    import pandas as pd

    plan = FitPlan.of(others[0], recipe, auxiliary=others[1:], compute=compute)
    fitted = plan.fitted(plan.encoded(compute), compute=compute, alike=True)
    prediction = predict_from_image(fitted, section, at_spots(section), compute=compute)
    known = np.isin(prediction.genes, section.genes)
    genes = prediction.genes[known]
    measured = log_cp10k(section.counts, columns=section.columns(genes)).toarray()
    predicted = prediction.mean[:, known].astype(np.float64)
    values = {
        "r": np.nan_to_num(pearson(measured, predicted)),
        "r_given_depth": np.nan_to_num(
            partial_correlation(measured, predicted, log_depth(depth(section.counts)))
        ),
    }
    return pd.DataFrame(values, index=pd.Index(genes, name="gene"))
