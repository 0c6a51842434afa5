"""Heads: what predicts expression from the features of patches, in the benchmark's two protocols and in others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.evaluation.separate_fit import fit_and_predict
from histosge.geometry.points import Points
from histosge.metrics.pearson import pearson
from histosge.models import build_model
from histosge.prediction.evidence_ridge import EvidenceRidge
from histosge.section.expression import TARGET_SUM
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

from .rows import Rows

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["HEADS", "Head", "heads_of", "official_alpha"]

Predict: TypeAlias = Callable[[Rows], Float[np.ndarray, "m g"]]

# seed of the benchmark, components, and the numerator of its penalty
_SEED, _COMPONENTS, _PENALTY = 1, 256, 100.0
_STEPS = 1000
# penalties among which cross-validation chooses; the best one of the benchmark's tasks is near 5000
_ALPHAS = np.geomspace(1e-2, 1e6, 17)
_FOLDS = 5
# µm; of a Visium spot, as the benchmark merges other platforms to
_SPOT_UM = 55.0


@dataclass(frozen=True, slots=True)
class Head:
    """A way to predict expression from features.

    Parameters
    ----------
    name
        As given to ``--heads``.
    summary
        One sentence.
    fit
        Spots to fit in; a function out that predicts the spots of *one* sample, whose targets it must not read.
    reads_positions
        Whether spots need positions.
    """

    name: str
    summary: str
    fit: Callable[[Rows], Predict]
    reads_positions: bool = False


def official_alpha(features: int, genes: int) -> float:
    """Return the penalty of the benchmark: 100 divided by the numbers of features and of genes.

    Examples
    --------
    >>> official_alpha(256, 50)
    0.0078125
    """
    return _PENALTY / (features * genes)


def heads_of(names: tuple[str, ...]) -> list[Head]:
    """Return heads by their names.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    unknown = [name for name in names if name not in HEADS]
    if unknown:
        raise UsageError(f"There is no head named '{unknown[0]}'. Known: {', '.join(HEADS)}.")
    return [HEADS[name] for name in names]


def _official(fitted: Rows, components: int | None) -> Predict:
    """Fit one of the benchmark's protocols: standardised features, components or not, ridge without intercept.

    Without an intercept predictions lack the mean of each gene: r is what it is, squared errors have no meaning.
    """
    from sklearn.linear_model import Ridge

    columns = _columns(fitted, components)
    features = columns(fitted)
    alpha = official_alpha(features.shape[1], fitted.targets.shape[1])
    ridge = Ridge(alpha, fit_intercept=False, solver="lsqr", max_iter=_STEPS, random_state=_SEED)
    ridge.fit(features, fitted.targets)
    return lambda asked: np.asarray(ridge.predict(columns(asked)))


def _cross_validated(fitted: Rows) -> Predict:
    """Fit as the first protocol does, with an intercept and the penalty of highest mean r in cross-validation."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    columns = _columns(fitted, _COMPONENTS)
    features = columns(fitted)
    scores = np.zeros(len(_ALPHAS))
    for some, others in KFold(_FOLDS, shuffle=True, random_state=_SEED).split(features):
        for index, alpha in enumerate(_ALPHAS):
            ridge = Ridge(alpha).fit(features[some], fitted.targets[some])
            scores[index] += np.nan_to_num(
                pearson(fitted.targets[others], ridge.predict(features[others]))
            ).mean()
    ridge = Ridge(_ALPHAS[scores.argmax()]).fit(features, fitted.targets)
    return lambda asked: np.asarray(ridge.predict(columns(asked)))


def _by_evidence(fitted: Rows) -> Predict:
    """Fit all features, the penalty of each gene by marginal likelihood."""
    columns = _columns(fitted, None)
    ridge = EvidenceRidge.fit(columns(fitted), fitted.targets)
    return lambda asked: ridge.predict(columns(asked))[0]


def _cokriging(fitted: Rows, asked: Rows) -> Array:
    """Fit and predict by cokriging: known spots are measured ones, the other samples auxiliary sections."""
    target = asked.sample[0]
    fitted = fitted.take(np.argsort(fitted.sample != target, kind="stable"))
    # the sample to predict comes first, whether any of its spots is known or not
    _, others = np.unique(fitted.sample, return_inverse=True)
    index = np.where(fitted.sample == target, 0, 1 + others)
    samples = Samples(
        _inputs(fitted, index),
        fitted.targets,
        np.array([f"gene{number:03d}" for number in range(fitted.targets.shape[1])]),
        # log1p of raw counts is log1p(CP10k) of spots of ten thousand molecules
        np.full(len(fitted), TARGET_SUM),
    )
    spots = _inputs(asked, np.zeros(len(asked), dtype=np.intp))
    is_new = not bool((index == 0).any())
    fit = fit_and_predict(lambda: build_model("cokriging").fit(samples, seed=_SEED), spots, is_new)
    return np.asarray(fit.mean, dtype=np.float64)


def _inputs(rows: Rows, index: Array) -> Inputs:
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
    return Inputs(locations, features=rows.features.astype(np.float32), sections=index)


def _columns(fitted: Rows, components: int | None) -> Callable[[Rows], Array]:
    """Return what standardises features and, where asked for, takes their principal components."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps: list[BaseEstimator] = [StandardScaler()]
    if components is not None:
        # fewer features, or spots, have fewer components
        steps.append(PCA(min(components, *fitted.features.shape), random_state=_SEED))
    pipeline = make_pipeline(*steps).fit(fitted.features.astype(np.float64))
    return lambda rows: np.asarray(pipeline.transform(rows.features.astype(np.float64)))


#: every head by its name
HEADS = {
    head.name: head
    for head in (
        Head(
            "pca-ridge",
            "Protocol A1, of the leaderboard: 256 principal components, fixed penalty, no intercept.",
            partial(_official, components=_COMPONENTS),
        ),
        Head(
            "ridge",
            "Protocol A2, of the paper's Table A13: all features, fixed penalty, no intercept.",
            partial(_official, components=None),
        ),
        Head(
            "ridge-cv",
            "256 principal components, one penalty for all genes by cross-validation in the fitted samples.",
            _cross_validated,
        ),
        Head("ridge-evidence", "All features, a penalty for each gene by marginal likelihood.", _by_evidence),
        Head(
            "cokriging",
            "Factor cokriging: the other samples are auxiliary sections.",
            lambda fitted: partial(_cokriging, fitted),
            reads_positions=True,
        ),
    )
}
