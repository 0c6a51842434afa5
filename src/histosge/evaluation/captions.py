"""What stands beside a picture of a gene, so that a smooth picture cannot pass for a true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.metrics.intervals import coverage
from histosge.metrics.morans import morans_i
from histosge.metrics.pearson import pearson
from histosge.models.base import predict
from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel, select
from histosge.section.locations import at_spots
from histosge.section.multi_section import measure
from histosge.section.section import Section
from histosge.section.splits import random
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.recipe import Recipe

__all__ = ["HeldOut", "captions", "held_out"]

_LEVEL = 0.9
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How a recipe does on one gene at spots it has not seen.

    Parameters
    ----------
    pcc
        Correlation with what was measured there; NaN where the prediction is constant.
    coverage
        Share of measurements inside the 90 % interval; ``None`` from models that give no interval.
    """

    pcc: float
    coverage: float | None


def held_out(
    section: Section, recipe: Recipe, genes: Sequence[str], compute: Compute = Compute(), *, seed: int = 0
) -> dict[str, HeldOut]:
    """Fit the recipe to a random half of the spots and score ``genes`` at the other half.

    Genes and scales come from the retained half alone; the genes asked for join those that half would choose.
    """
    split = random(len(section), fraction=_HALF, seed=seed)
    panel = _joined(section, select(section, recipe.genes, rows=split.training), genes)
    model = recipe.build()
    encoder = encoder_for(section, recipe, needs=model.needs, compute=compute)
    samples = measure(
        section,
        panel,
        encode(section, at_spots(section), needs=model.needs, encoder=encoder, compute=compute),
    )
    runtime = compute.runtime()
    predictor = model.fit(samples.take(split.training), seed=recipe.seed, runtime=runtime)
    found = predict(predictor, samples.inputs.take(split.test))
    columns = found.columns(genes)
    truth = samples.expression[split.test][:, positions(genes, panel.names)]
    mean = found.mean[:, columns].astype(np.float64)
    correlations = pearson(truth, mean)
    covered: Array | None = None
    if found.sd is not None:
        covered = coverage(truth, mean, found.sd[:, columns].astype(np.float64), _LEVEL)
    return {
        gene: HeldOut(float(correlations[k]), None if covered is None else float(covered[k]))
        for k, gene in enumerate(genes)
    }


def captions(
    section: Section,
    predictions: Sequence[tuple[str, Prediction]],
    genes: Sequence[str],
    skill: dict[str, HeldOut] | None,
) -> list[list[str]]:
    """Return a line for each panel of :func:`histosge.figures.maps.marker_maps`, row by row.

    Moran's I is over the six nearest places. At generated places those are nearer, so it is also given at the
    measured spots alone, where there are any: the number to compare with the measured one.
    """
    measured = morans_i(
        log_cp10k(section.counts, columns=_columns(section.genes, genes)).toarray(), section.spots.xy
    )
    lines = []
    for row, gene in enumerate(genes):
        line = [_skill(None if skill is None else skill[gene]), f"Moran's I {measured[row]:.2f}"]
        lines.append(line + [_structure(prediction, gene) for _, prediction in predictions])
    return lines


def _structure(prediction: Prediction, gene: str) -> str:
    values = prediction.mean[:, _columns(prediction.genes, [gene])].astype(np.float64)
    everywhere = float(morans_i(values, prediction.locations.xy)[0])
    spots = prediction.locations.observed
    if spots.sum() < 3:
        return f"Moran's I {everywhere:.2f}"
    there = float(morans_i(values[spots], prediction.locations.xy[spots])[0])
    return f"Moran's I {everywhere:.2f}, at the spots {there:.2f}"


def _skill(found: HeldOut | None) -> str:
    if found is None:
        return "held-out skill: not computed"
    interval = "no interval" if found.coverage is None else f"90 % interval covers {found.coverage:.0%}"
    r = "undefined" if np.isnan(found.pcc) else f"{found.pcc:.2f}"
    return f"held-out half: r {r}, {interval}"


def _joined(section: Section, panel: GenePanel, genes: Sequence[str]) -> GenePanel:
    columns = np.union1d(panel.columns, _columns(section.genes, genes))
    return GenePanel(section.genes[columns], columns, panel.spec, panel.missing)


def _columns(names: Array, genes: Sequence[str]) -> Array:
    return positions(genes, names)
