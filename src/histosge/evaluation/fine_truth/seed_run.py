"""One seed of an evaluation against a finer truth: make spots, fit every model, score every scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.provenance import Gauge
from histosge._runtime.types import Array
from histosge.evaluation.ceiling_alarm import halves_of
from histosge.evaluation.fit_table import device_of, windows_um
from histosge.figures.fine_truth_maps import FineTruthMaps
from histosge.section.expression import depth, log_cp10k
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.fit import Fit, fit
from histosge.workflow.predict import predict
from histosge.workflow.recipe import Recipe

from .audits import audit_fits, refuse_known_noise
from .measured_spots import MeasuredSpots, scored_at
from .pseudo_spots import Layout, PseudoSpots, pseudo_spots
from .result import COLUMNS, GENE_COLUMNS
from .scales import CELLS, ScaledTruth, scaled
from .scores import score_scale, statistics
from .truth import FineTruth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FinePlan", "SeedResult", "label", "run_seed"]

# genes that a figure shows
_SHOWN_GENES = 2
# what fits tell of their training
_TRAINING = ("epochs", "best_epoch", "initialisation")


@dataclass(frozen=True, slots=True, eq=False)
class FinePlan:
    """Everything that decides the scores.

    Parameters
    ----------
    truth
        Cells or fine bins.
    recipes
        Models; their seed is that of the spots.
    layout
        Of the spots; or measured spots of another section.
    scales
        Widths of bins in µm, and ``"cells"``.
    seeds
        Of division, phase, rotation and fits.
    median_depth
        Of a spot; ``None`` keeps half of all molecules.
    """

    truth: FineTruth
    recipes: tuple[Recipe, ...]
    layout: Layout | MeasuredSpots
    scales: tuple[float | str, ...]
    seeds: tuple[int, ...]
    median_depth: float | None = None

    @property
    def skipped(self) -> dict[str, str]:
        """Models that predict nothing finer than spots, or need an image where the truth has none, with the reason."""
        source = self.layout.section if isinstance(self.layout, MeasuredSpots) else self.truth
        reasons = {}
        for recipe in self.recipes:
            model = recipe.build()
            no_image = source.slide is None and model.uses_image
            reasons[label(recipe)] = (
                f"'{source.name}' has no image." if no_image else model.reason_against("finer")
            )
        return {name: reason for name, reason in reasons.items() if reason}

    def spots(self, seed: int) -> PseudoSpots:
        """Return the spots to fit, and the truth to score with."""
        if isinstance(self.layout, MeasuredSpots):
            return scored_at(self.truth, self.layout, seed=seed, median_depth=self.median_depth)
        return pseudo_spots(self.truth, self.layout, seed=seed, median_depth=self.median_depth)


@dataclass(frozen=True, slots=True, eq=False)
class SeedResult:
    """Scores, cost and maps of one seed.

    Parameters
    ----------
    scores
        Rows of the tidy table.
    genes
        Rows of the table of genes: what is known of the truth without any model.
    spots
        Number, median depth and number of spots left out.
    costs
        Of each model: fit and all predictions together, how and on which device it was trained, and widths of its
        windows.
    maps
        Some genes, for a figure.
    messages
        About measured spots: the genes in common.
    """

    scores: pd.DataFrame
    genes: pd.DataFrame
    spots: Mapping[str, float]
    costs: tuple[Mapping[str, Any], ...]
    maps: FineTruthMaps
    messages: tuple[Message, ...] = ()


def label(recipe: Recipe) -> str:
    """Return the name of a model in tables: with its preset, options and an encoder that is not the default."""
    details = [
        word for word in (recipe.variant, recipe.encoder if recipe.encoder != "texture" else "") if word
    ]
    return f"{recipe.model} ({', '.join(details)})" if details else recipe.model


def run_seed(plan: FinePlan, seed: int, compute: Compute) -> SeedResult:
    """Make spots with this seed, audit and fit every model, and score the predictions at every scale.

    Raises
    ------
    DataError
        When an audit finds a leak.
    """
    import pandas as pd

    spots = plan.spots(seed)
    section = spots.section
    truths = [scaled(spots, scale) for scale in plan.scales]
    about = [_about_genes(plan, truth, section, seed=seed) for truth in truths]
    shown = _shown(plan, truths)
    maps, costs = _maps(spots, shown, about[truths.index(shown)]), []
    frames: list[pd.DataFrame] = []
    recipes = [
        replace(part, seed=seed, genes="all") for part in plan.recipes if label(part) not in plan.skipped
    ]
    if seed == plan.seeds[0]:
        audit_fits(section, recipes, seed=seed, compute=compute)
    halves = halves_of(shown.counts, np.arange(len(section.genes)), seed=seed)
    for recipe in recipes:
        gauge = Gauge()
        with gauge:
            fitted = fit(section, recipe, compute=compute)
            predictions = [predict(fitted, section, truth.parts, compute=compute) for truth in truths]
        costs.append({"model": label(recipe), "seed": seed, **gauge.cost, **_training(fitted, section)})
        for truth, prediction in zip(truths, predictions, strict=True):
            columns = section.columns(prediction.genes)
            values = score_scale(truth, prediction, columns)
            frames.append(_tidy(plan, truth, values, genes=prediction.genes, seed=seed, recipe=recipe))
            if truth is shown:
                mean = truth.of_parts(prediction.mean)
                refuse_known_noise(label(recipe), mean, halves.of_genes(columns), scale=truth.scale)
                maps = maps.with_prediction(label(recipe), mean[:, prediction.columns(maps.genes)])
    messages = section.messages if isinstance(plan.layout, MeasuredSpots) else ()
    scores, genes = (pd.concat(parts, ignore_index=True) for parts in (frames, about))
    return SeedResult(scores, genes, _about(spots, seed), tuple(costs), maps, messages)


def _about(spots: PseudoSpots, seed: int) -> dict[str, float]:
    return {
        "seed": seed,
        "spots": len(spots.section),
        "median_depth": float(np.median(depth(spots.section.counts))),
        "sparse_spots": spots.sparse_spots,
    }


def _training(fitted: Fit, section: Section) -> dict[str, Any]:
    """Return the epochs of a fit and the widths of the windows that it reads, where it has any, and its device."""
    known = fitted.predictor.summary()
    windows = windows_um(section, fitted.recipe) if section.slide is not None else ()
    return {name: known[name] for name in _TRAINING if known.get(name) is not None} | {
        "windows_um": ", ".join(f"{width:g}" for width in windows),
        "is_network": fitted.model.card.deep,
        "device": device_of(known, fitted.model),
    }


def _tidy(
    plan: FinePlan,
    truth: ScaledTruth,
    values: Mapping[tuple[str, str], Array],
    *,
    genes: Array,
    seed: int,
    recipe: Recipe,
) -> pd.DataFrame:
    """Return the scores of a model as rows of the tidy table."""
    import pandas as pd

    frame = pd.concat(
        [
            pd.DataFrame({"gene": genes, "value": column, "zone": zone, "metric": metric})
            for (zone, metric), column in values.items()
        ],
        ignore_index=True,
    )
    frame = frame.assign(
        truth=plan.truth.name,
        layout=plan.layout.name,
        scale=truth.scale,
        model=recipe.model,
        preset=recipe.variant,
        encoder=recipe.encoder if recipe.build().needs.features else "",
        seed=seed,
    )
    return frame[list(COLUMNS)]


def _about_genes(plan: FinePlan, truth: ScaledTruth, section: Section, *, seed: int) -> pd.DataFrame:
    """Return statistics of the truth as rows of the table of genes: one for each part and gene that spots count."""
    import pandas as pd

    counted = np.flatnonzero(np.asarray(section.counts.sum(axis=0)).ravel() > 0)
    values = statistics(truth, counted, seed=seed)
    names = ("bins", "ceiling", "ceiling_given_depth")
    frame = pd.concat(
        [
            pd.DataFrame(
                {"gene": section.genes[counted], "zone": zone, "expression": values["all", "expression"]}
                | {name: values[zone, name] for name in names}
            )
            for zone in dict.fromkeys(zone for zone, _ in values)
        ],
        ignore_index=True,
    )
    frame = frame.assign(truth=plan.truth.name, layout=plan.layout.name, scale=truth.scale, seed=seed)
    return frame[list(GENE_COLUMNS)]


def _shown(plan: FinePlan, truths: Sequence[ScaledTruth]) -> ScaledTruth:
    """Return the scale of the figure: the bins nearest to a spot in width."""
    widths = [
        np.inf if scale == CELLS else abs(float(scale) - plan.layout.diameter_um) for scale in plan.scales
    ]
    return truths[int(np.argmin(widths))]


def _maps(spots: PseudoSpots, truth: ScaledTruth, statistics_of_genes: pd.DataFrame) -> FineTruthMaps:
    """Return truth and spots of the genes whose truth is least noisy at this scale."""
    about = statistics_of_genes[statistics_of_genes["zone"] == "all"]
    genes = about.sort_values("ceiling", ascending=False, kind="stable")["gene"].to_numpy()[:_SHOWN_GENES]
    columns = spots.section.columns(genes)
    return FineTruthMaps(
        genes=genes,
        scale=truth.scale,
        xy_um=truth.xy_um,
        truth=log_cp10k(truth.counts, columns=columns).toarray(),
        spots_um=spots.section.spots.xy,
        spots=log_cp10k(spots.section.counts, columns=columns).toarray(),
        predicted={},
    )
