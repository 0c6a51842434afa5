"""The parts of the panel about accuracy: correlations, contribution of the image, intervals and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.prediction.accuracy_words import accuracy_sentences, follows_depth
from histosge.prediction.factored import FactoredPrediction

from .contents import Contents
from .part import Part, decimal, thousands

__all__ = [
    "accuracy_part",
    "calibration",
    "histology_part",
    "intervals_part",
    "left_out",
    "measured_accuracy",
    "scores_part",
    "sentences_of",
]

_SCORES = {"PCC": "pcc", "skill score": "skill", "MSE": "mse"}
# correlations that the text counts: a useful map, and one hardly better than the mean of the gene
GOOD, _POOR = 0.5, 0.15
# share of spots with counts from which a gene is called expressed
_EXPRESSED = 0.01


def left_out(contents: Contents) -> str:
    """Return what r_loo refers to: spots of this section, or whole sections."""
    return "in sections left out" if contents.image_only else "at spots left out"


def sentences_of(contents: Contents) -> tuple[str, ...]:
    """Return how many genes are reliable, and what the image added; nothing where it was not measured."""
    if contents.image_only:
        return ()
    fit, model = contents.record.get("fit") or {}, contents.record.get("model") or {}
    return accuracy_sentences(fit, uses_image=bool(model.get("uses_image", True)))


def measured_accuracy(contents: Contents) -> Array:
    """Return r_loo of the expressed genes for which it was measured."""
    prediction = contents.prediction
    if not isinstance(prediction, FactoredPrediction):
        return np.empty(0)
    r_loo = np.asarray(prediction.basis.r_loo)
    return np.asarray(r_loo[np.isfinite(r_loo) & _expressed(contents)])


def _expressed(contents: Contents) -> Array:
    """Return which genes of the prediction have counts in one spot of a hundred; all where nothing was measured."""
    genes, measured = contents.prediction.genes, contents.measured
    if measured is None:
        return np.ones(len(genes), dtype=bool)
    share = np.diff(measured.matrix.tocsc().indptr) / max(len(measured.spots), 1)
    columns = positions(genes, measured.genes)
    return np.asarray((columns < 0) | (share[columns] >= _EXPRESSED))


def accuracy_part(contents: Contents) -> Part:
    """Return how accurately genes are predicted, and what a map does not show."""
    r_loo = measured_accuracy(contents)
    if len(r_loo):
        paragraphs = [*sentences_of(contents)[:1], _correlations(contents, r_loo), *_given_depth(contents)]
        if contents.image_only:
            paragraphs.append(
                "This section was not among them. Expect less where its tissue, stain or scanner differs."
            )
    elif contents.image_only:
        paragraphs = [
            "The accuracy on this section is unknown, because it has no measurements to compare with. `histosge "
            "evaluate "
            "--split sections` on the measured sections predicts each of them from the others; `histosge run` "
            "with two "
            "or more `--with` does so itself."
        ]
    else:
        paragraphs = [
            "The accuracy of each gene was not measured in this run. `histosge evaluate` measures it."
        ]
    average = "measured sections" if contents.image_only else "surrounding spots"
    after = [
        "A smooth map is no evidence of accuracy: where the model has no information, it predicts the mean of "
        f"the {average}.",
        "Predicted locations are not independent samples. Do not run significance tests on them. Nor are they "
        "cells: at "
        "cells, too, values are estimates from spots.",
    ]
    return Part("Accuracy", paragraphs, "accuracy-chart" if len(r_loo) else "", after)


def _correlations(contents: Contents, r_loo: Array) -> str:
    how = (
        "Each measured section was left out and predicted from its image by a fit of the others."
        if contents.image_only
        else "Spots were left out of the fit and predicted from the others (leave-one-out correlation, r_loo)."
    )
    good, poor = int((r_loo >= GOOD).sum()), int((r_loo < _POOR).sum())
    return (
        f"{how} Of {thousands(len(r_loo))} expressed genes, {thousands(good)} reach a correlation r of {GOOD:g} or "
        f"more with the measurement; {thousands(poor)} stay below {_POOR:g}, where a map is hardly better than the "
        "mean of the gene. "
        "The noise of the measurement also lowers r."
    )


def _given_depth(contents: Contents) -> list[str]:
    """Return how much of the correlations is depth, and what a grade says; nothing where it was not measured."""
    basis = contents.prediction.basis if isinstance(contents.prediction, FactoredPrediction) else None
    if basis is None or not np.isfinite(basis.r_loo_given_depth).any():
        return []
    both = np.isfinite(basis.r_loo) & np.isfinite(basis.r_loo_given_depth) & _expressed(contents)
    r, given_depth = basis.r_loo[both], basis.r_loo_given_depth[both]
    follows = int(follows_depth(r, given_depth).sum())
    return [
        "The total count of a spot is part of every gene's pattern, and a map of total counts correlates with most "
        "genes. Among spots of equal total counts (partial correlation on log depth), the mean r is "
        f"{float(given_depth.mean()):.2f} in place of {float(r.mean()):.2f}. For "
        f"{thousands(follows) if follows else 'no'} gene{'s' if follows > 1 else ''} the pattern "
        "is mostly that of total counts.",
        "A gene is called reliable by the stricter of the two, after allowing for chance: the largest of many "
        "correlations are large by chance, too. Of the genes called reliable, at least 95 % are expected to be.",
    ]


def histology_part(contents: Contents) -> Part | None:
    """Return what the image added, for fits that compared models with and without it."""
    fit = contents.record.get("fit") or {}
    if contents.image_only or "image_weight" not in fit or not _compared(fit):
        return None
    title = "Contribution of the image"
    if fit["image_weight"] == 0:
        text = "None: the marginal likelihood gave the image a weight of 0. The prediction is interpolation."
        return Part(title, (text,))
    histology, auxiliary = (float(fit.get(f"weight_of_{name}", 0.0)) for name in ("histology", "auxiliary"))
    others = f" and {auxiliary:.0%} to auxiliary sections" if auxiliary else ""
    weights = (
        "How the maps were made is another question than what the image added. Averaged over genes, "
        f"{histology:.0%} of the variance of the prediction is attributed to histology{others}; the rest is "
        "interpolation by position. The kernel weight of the image, chosen by the marginal likelihood, is "
        f"{fit['image_weight']:.0%}."
    )
    sentence = sentences_of(contents)[1:]
    if fit.get("mean_r_loo_image_gain_se") is not None:
        sentence = (
            *sentence,
            "r is the mean over genes of the correlation with the measurement; the number after ± is the standard "
            "error of the difference, from parts of the tissue.",
        )
    control = (
        "In the table r is that of genes, and that of the factors that genes are sums of. If shuffled images scored as "
        "well as real ones, the image would add no information."
    )
    return Part(title, (*sentence, control, weights), table=_bars(fit))


def _compared(fit: Mapping[str, Any]) -> bool:
    """Return whether a fit has scores with and without image."""
    return "fitted" in (fit.get("r_loo_factors") or {}) or fit.get("mean_r_loo_without_image") is not None


def _bars(fit: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of scores with and without image, and with a shuffled one."""
    factors = fit.get("r_loo_factors") or {}
    genes = {"fitted": fit.get("mean_r_loo"), "positions": fit.get("mean_r_loo_without_image")}
    names = {"fitted": "position and image", "positions": "position only", "shuffled_image": "shuffled image"}
    rows: list[tuple[str, ...]] = [("predicted from", "mean r of genes", "mean r of factors")]
    return rows + [
        (words, decimal(genes.get(name)), decimal(factors.get(name)))
        for name, words in names.items()
        if genes.get(name) is not None or name in factors
    ]


def calibration(contents: Contents) -> dict[str, list[float]] | None:
    """Return nominal levels and coverage of the intervals, from ``calibration`` of the fit, or ``None``."""
    recorded = (contents.record.get("fit") or {}).get("calibration")
    if not isinstance(recorded, Mapping) or "levels" not in recorded or "coverage" not in recorded:
        return None
    names = [name for name in ("levels", "coverage", "raw") if recorded.get(name) is not None]
    curves = {name: [float(value) for value in recorded[name]] for name in names}
    complete = len({len(values) for values in curves.values()}) == 1 and curves["levels"]
    return curves if complete else None


def intervals_part(contents: Contents) -> Part:
    """Return whether intervals have their nominal coverage."""
    title = "Are the uncertainty intervals reliable?"
    prediction = contents.prediction
    sd = prediction.score_sd if isinstance(prediction, FactoredPrediction) else prediction.sd
    if sd is None:
        return Part(title, ("This model estimates no uncertainty.",))
    if contents.image_only:
        return Part(title, (_coverage_of_sections(contents),))
    curves = calibration(contents)
    if curves is None:
        return Part(
            title, ("The model estimates its uncertainty. Its coverage was not measured in this run.",)
        )
    coverage = dict(zip(curves["levels"], curves["coverage"], strict=True))
    level = min(coverage, key=lambda value: abs(value - 0.9))
    text = (
        f"Intervals with a nominal level of {level:.0%} contained {coverage[level]:.0%} of the values left out. "
        "On the "
        "dashed line coverage equals the nominal level; below it, intervals are too narrow. The uncertainty "
        "layer shows "
        "where intervals are wide."
    )
    return Part(title, (text,), "calibration-chart")


def _coverage_of_sections(contents: Contents) -> str:
    text = "The model estimates its uncertainty. Its coverage was measured on other sections, not on this one"
    coverage = (contents.record.get("leave_one_section_out") or {}).get("coverage")
    if coverage is None:
        return f"{text}."
    return (
        f"{text}: when each was left out, intervals with a nominal level of 90 % contained {coverage:.0%} of its "
        "values. "
        "For genes with less, intervals were widened until they contained 90 % there."
    )


def scores_part(contents: Contents) -> Part | None:
    """Return the table of an evaluation, the best model first."""
    rows = [row for row in (contents.scores or {}).get("rows", ()) if row.get("set") == "test"]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.get("pcc") or 0.0))
    several = len({(row["section"], row["split"]) for row in rows}) > 1
    header = ("model", *_SCORES)
    table: list[tuple[str, ...]] = [(*header, "section, split") if several else header]
    for row in rows:
        name = " ".join(str(row[key]) for key in ("model", "preset") if row.get(key))
        cells = (name, *(decimal(row.get(key)) for key in _SCORES.values()))
        table.append((*cells, f"{row['section']}, {row['split']}") if several else cells)
    which = "" if several else f" ({rows[0]['section']}, {rows[0]['split']})"
    text = (
        f"Scores at test spots, which no step of the fit used{which}. PCC: mean correlation over genes. Skill "
        "score: "
        "1 − MSE / MSE of kriging; 0 for kriging, negative for worse models. MSE: mean squared error."
    )
    return Part("Scores against baselines", (text,), table=table, summary=_summaries(rows))


def _summaries(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the summaries of the models of a table, from their cards."""
    from histosge.models import MODELS

    names = dict.fromkeys(str(row["model"]) for row in rows)
    return [(name, MODELS[name].card.summary) for name in names if name in MODELS]
