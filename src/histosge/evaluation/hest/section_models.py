"""Models of this package as heads of HEST-Benchmark: samples are sections, known spots are measured ones."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.evaluation.separate_fit import fit_and_predict
from histosge.geometry.points import Points
from histosge.models import Model
from histosge.section.expression import TARGET_SUM
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

from .rows import Rows

__all__ = ["predicted_by"]

# µm; of a Visium spot, as the benchmark merges other platforms to
_SPOT_UM = 55.0


def predicted_by(
    model: Model, fitted: Rows, asked: Rows, *, image: bool, others: bool, seed: int
) -> Float[np.ndarray, "m g"]:
    """Fit a model and predict the spots of one sample, whose targets are not read.

    Parameters
    ----------
    model
        To fit. The sample to predict is its section 0, whether any spot of it is known or not.
    fitted, asked
        Spots to fit and spots to predict.
    image
        Whether the model is given the features.
    others
        Whether the other samples are given to it, as auxiliary sections.
    seed
        Of the model.
    """
    target = asked.sample[0]
    known = fitted.sample == target
    # the sample to predict comes first
    order = np.argsort(~known, kind="stable")
    fitted = fitted.take(order if others else order[: known.sum()])
    _, section = np.unique(fitted.sample, return_inverse=True)
    index = np.where(fitted.sample == target, 0, 1 + section)
    samples = Samples(
        _inputs(fitted, index, image=image),
        fitted.targets,
        np.array([f"gene{number:03d}" for number in range(fitted.targets.shape[1])]),
        # log1p of raw counts is log1p(CP10k) of spots of ten thousand molecules
        np.full(len(fitted), TARGET_SUM),
    )
    spots = _inputs(asked, np.zeros(len(asked), dtype=np.intp), image=image)
    fit = fit_and_predict(lambda: model.fit(samples, seed=seed), spots, not known.any())
    return np.asarray(fit.mean, dtype=np.float64)


def _inputs(rows: Rows, index: Array, *, image: bool) -> Inputs:
    """Return spots as a model is given them."""
    number, xy_um = len(rows), np.asarray(rows.xy_um)
    locations = Locations(
        Points(xy_um, rows.ids, _SPOT_UM),
        lattice_xy=xy_um,
        parent=np.arange(number),
        subspot=np.zeros(number, dtype=np.intp),
        observed=np.ones(number, dtype=bool),
        in_tissue=np.ones(number, dtype=bool),
    )
    features = rows.features.astype(np.float32) if image else None
    return Inputs(locations, features=features, sections=index)
