"""Numbers beside pictures of genes: a smooth map alone does not show whether the prediction is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.intervals import coverage
from histosge.metrics.morans import morans_i
from histosge.metrics.pearson import pearson
from histosge.models.base import predict
from histosge.prediction.prediction import Prediction
from histosge.section.expression import depth, log_cp10k, log_depth
from histosge.section.genes import GenePanel
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.recipe import Recipe

from .study import Study, choose_genes, encode_study, gather_samples

__all__ = ["GeneScore", "captions", "score_genes"]

_LEVEL = 0.9
# Moran's I of fewer spots means nothing
_MINIMUM_SPOTS = 3


@dataclass(frozen=True, slots=True)
class GeneScore:
    """Scores of a recipe for one gene at test spots.

    Parameters
    ----------
    pcc
        Correlation with the measurement; NaN where the prediction is constant.
    pcc_given_depth
        The same over spots of the same depth; NaN where the prediction is constant, or follows the depth alone.
    coverage
        Fraction of measurements inside the 90 % interval; ``None`` from models without intervals, and of fits at the
        mean depth, whose intervals are not those of a measurement at another depth.
    """

    pcc: float
    pcc_given_depth: float
    coverage: float | None


def score_genes(
    section: Section, recipe: Recipe, genes: Sequence[str], *, compute: Compute = Compute(), seed: int = 0
) -> dict[str, GeneScore]:
    """Fit the recipe to a random half of the spots and score ``genes`` at the other half.

    The recipe's genes are chosen on the training half; ``genes`` are added to them.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=10, rows=10, genes=12).section
    >>> gene = str(section.genes[0])
    >>> scores = score_genes(section, hs.Recipe(genes="all"), [gene])
    >>> bool(0 <= scores[gene].coverage <= 1)
    True
    """
    # the shown genes need not be among those that the recipe chooses
    study = replace(
        Study.of(section, genes=str(recipe.genes), seed=seed), depth_adjusted=recipe.depth_adjusted
    )
    panel = _joined(section, choose_genes(study), genes)
    inputs = encode_study(study, recipe, compute)
    samples = gather_samples(study, panel, inputs)
    predictor = recipe.build().fit(samples, seed=recipe.seed, runtime=compute.runtime())
    prediction = predict(predictor, inputs.take(study.test))
    columns = prediction.columns(genes)
    measured = log_cp10k(section.counts, columns=positions(genes, section.genes)).toarray()
    truth = measured[study.test].astype(np.float64)
    mean = prediction.mean[:, columns].astype(np.float64)
    pcc, covered = pearson(truth, mean), None
    given_depth = partial_correlation(truth, mean, log_depth(depth(section.counts))[study.test])
    if prediction.sd is not None and not recipe.depth_adjusted:
        covered = coverage(truth, mean, prediction.sd[:, columns].astype(np.float64), _LEVEL)
    return {
        gene: GeneScore(float(pcc[k]), float(given_depth[k]), None if covered is None else float(covered[k]))
        for k, gene in enumerate(genes)
    }


def captions(
    section: Section,
    predictions: Sequence[tuple[str, Prediction]],
    genes: Sequence[str],
    *,
    scores: Mapping[str, GeneScore] | None,
) -> list[list[str]]:
    """Return a caption for each panel of :func:`histosge.figures.marker_maps.marker_maps`, row by row.

    Moran's I is over the six nearest locations. Predicted locations are nearer to each other than spots, so Moran's I
    of the prediction at the spots alone, where there are any, is the number to compare with the measured one.
    """
    measured = log_cp10k(section.counts, columns=positions(genes, section.genes)).toarray()
    measured_i = morans_i(measured, section.spots.xy)
    lines = []
    for row, gene in enumerate(genes):
        score = _score_caption(None if scores is None else scores[gene])
        predicted = [_moran_caption(prediction, gene) for _, prediction in predictions]
        lines.append([score, f"Moran's I {measured_i[row]:.2f}", *predicted])
    return lines


def _moran_caption(prediction: Prediction, gene: str) -> str:
    values = prediction.mean[:, positions([gene], prediction.genes)].astype(np.float64)
    xy_um, spots = prediction.locations.xy, prediction.locations.observed
    text = f"Moran's I {float(morans_i(values, xy_um)[0]):.2f}"
    if spots.sum() < _MINIMUM_SPOTS:
        return text
    return f"{text}, at the spots {float(morans_i(values[spots], xy_um[spots])[0]):.2f}"


def _score_caption(score: GeneScore | None) -> str:
    if score is None:
        return "test spots: not computed"
    interval = "no interval" if score.coverage is None else f"90 % interval covers {score.coverage:.0%}"
    r, given_depth = ("undefined" if np.isnan(r) else f"{r:.2f}" for r in (score.pcc, score.pcc_given_depth))
    return f"test spots: r {r}, given depth {given_depth}, {interval}"


def _joined(section: Section, panel: GenePanel, genes: Sequence[str]) -> GenePanel:
    """Return the panel with further genes of the section."""
    # ascending, as choosing genes returns them
    columns: Array = np.union1d(panel.columns, positions(genes, section.genes))
    return GenePanel(section.genes[columns], columns, panel.spec, panel.missing)
