"""Heads: what predicts expression from the features of patches, in the benchmark's two protocols and in others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.metrics.pearson import pearson
from histosge.models import build_model
from histosge.prediction.evidence_ridge import EvidenceRidge

from .rows import Rows
from .section_models import predicted_by

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["COMPONENTS", "HEADS", "POSITION_HEADS", "Head", "heads_of", "official_alpha"]

Predict: TypeAlias = Callable[[Rows], Float[np.ndarray, "m g"]]

# seed of the benchmark, components, and the numerator of its penalty
_SEED, COMPONENTS, _PENALTY = 1, 256, 100.0
_STEPS = 1000
# penalties among which cross-validation chooses; the best one of the benchmark's tasks is near 5000
_ALPHAS = np.geomspace(1e-2, 1e6, 17)
_FOLDS = 5


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
    least
        Known spots of the predicted sample without which it has nothing to say.
    """

    name: str
    summary: str
    fit: Callable[[Rows], Predict]
    reads_positions: bool = False
    least: int = 0


def official_alpha(features: int, genes: int) -> float:
    """Return the penalty of the benchmark: 100 divided by the numbers of features and of genes.

    Examples
    --------
    >>> official_alpha(256, 50)
    0.0078125
    """
    return _PENALTY / (features * genes)


def heads_of(names: tuple[str, ...]) -> list[Head]:
    """Return heads by their names, each once.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    unknown = [name for name in names if name not in HEADS]
    if unknown:
        raise UsageError(f"There is no head named '{unknown[0]}'. Known: {', '.join(HEADS)}.")
    return [HEADS[name] for name in dict.fromkeys(names)]


def _official(fitted: Rows, components: int | None = None, standardised: bool = True) -> Predict:
    """Fit one of the benchmark's protocols: standardised features, components or not, ridge without intercept.

    Without an intercept predictions lack the mean of each gene: r is what it is, squared errors have no meaning.
    """
    from sklearn.linear_model import Ridge

    columns = _columns(fitted, components) if standardised else _unscaled
    features = columns(fitted)
    alpha = official_alpha(features.shape[1], fitted.targets.shape[1])
    ridge = Ridge(alpha, fit_intercept=False, solver="lsqr", max_iter=_STEPS, random_state=_SEED)
    ridge.fit(features, fitted.targets)
    return lambda asked: np.asarray(ridge.predict(columns(asked)))


def _cross_validated(fitted: Rows) -> Predict:
    """Fit as the first protocol does, with an intercept and the penalty of highest mean r in cross-validation."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    columns = _columns(fitted, COMPONENTS)
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


def _unscaled(rows: Rows) -> Array:
    return rows.features.astype(np.float64)


def _by_model(
    name: str, preset: str | None = None, *, image: bool = True, others: bool = True
) -> Callable[[Rows], Predict]:
    """Return a head that fits a model of this package."""

    def fit(fitted: Rows) -> Predict:
        return lambda asked: predicted_by(
            build_model(name, preset), fitted, asked, image=image, others=others, seed=_SEED
        )

    return fit


#: every head by its name
HEADS = {
    head.name: head
    for head in (
        Head(
            "pca-ridge",
            "Protocol A1, of the leaderboard: 256 principal components, fixed penalty, no intercept.",
            partial(_official, components=COMPONENTS),
        ),
        Head(
            "ridge",
            "Protocol A2, of the paper's Table A13: all features, fixed penalty, no intercept.",
            _official,
        ),
        Head(
            "ridge-unscaled",
            "Protocol A2 in its other reading: features as the encoder returns them, not standardised.",
            partial(_official, standardised=False),
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
            _by_model("cokriging"),
            reads_positions=True,
        ),
    )
}
#: what positions alone predict, by its name: in the second track beside every number of known spots
POSITION_HEADS = {
    head.name: head
    for head in (
        Head(
            "cokriging, positions alone",
            "The head cokriging without the image.",
            _by_model("cokriging", "positions", image=False),
            reads_positions=True,
            least=1,
        ),
        Head(
            "kriging of known spots",
            "Kriging of each gene from the known spots, without the other samples and without the image.",
            _by_model("kriging", image=False, others=False),
            reads_positions=True,
            least=3,
        ),
        Head(
            "inverse distances",
            "The known spots weighted by inverse squared distance.",
            _by_model("idw", image=False, others=False),
            reads_positions=True,
            least=1,
        ),
    )
}
