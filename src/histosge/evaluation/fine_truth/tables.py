"""Tables of an evaluation against a finer truth: one for each scale, a row for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from histosge.evaluation.epochs import epochs_text
from histosge.evaluation.tables import markdown_table, model_label

from .result import FineTruthResult, FineTruthRow
from .scales import CELLS

__all__ = [
    "COLUMNS",
    "EXPLANATIONS",
    "PART_COLUMNS",
    "SCREEN_COLUMNS",
    "cost_table",
    "markdown",
    "part_rows",
    "table_rows",
    "title",
]

#: heading, part of the truth, metric, digits
_Columns = tuple[tuple[str, str, str, int], ...]
_MAIN: _Columns = (
    ("PCC", "all", "pcc", 3),
    ("inside", "inside", "pcc", 3),
    ("between", "between", "pcc", 3),
    ("given depth", "all", "pcc_given_depth", 3),
    ("Spearman", "all", "spearman", 3),
    ("SSIM", "all", "ssim", 3),
    ("deviance", "all", "deviance", 3),
    ("undefined", "all", "pcc_undefined", 2),
    ("skill", "all", "skill", 3),
    ("of ceiling", "all", "of_ceiling", 2),
    ("of it given depth", "all", "of_ceiling_given_depth", 2),
    ("coverage", "all", "coverage90", 3),
)
#: correlation by distance to the nearest spot and by expression; coverage inside and between
_PARTS: _Columns = (
    ("near", "near", "pcc", 3),
    ("middle", "middle", "pcc", 3),
    ("far", "far", "pcc", 3),
    ("low", "all", "pcc_low", 3),
    ("medium", "all", "pcc_middle", 3),
    ("high", "all", "pcc_high", 3),
    ("between, given depth", "between", "pcc_given_depth", 3),
    ("coverage inside", "inside", "coverage90", 3),
    ("coverage between", "between", "coverage90", 3),
)
COLUMNS = ("model", *(heading for heading, *_ in _MAIN))
PART_COLUMNS = ("model", *(heading for heading, *_ in _PARTS))
_COST_COLUMNS = ("model", "wall s", "CPU s", "peak GB", "epochs (kept)", "windows, µm")
# the columns that fit into a terminal
SCREEN_COLUMNS = (
    "model",
    "PCC",
    "inside",
    "between",
    "given depth",
    "deviance",
    "skill",
    "of ceiling",
    "coverage",
)

EXPLANATIONS = (
    "Means over genes and seeds, ± standard deviation over seeds; undefined correlations count as 0. `inside`: centres "
    "in a spot; `between`: bins that no spot touches; `near`, `middle`, `far`: thirds by the distance to the nearest "
    "spot; `low`, `medium`, `high`: thirds of the genes by expression. Spots and truth have no molecule in common.",
    "`of ceiling`: share of the correlation that a perfect prediction would reach at this scale. `given depth`: "
    "partial correlation given the logarithm of the molecules of the bin, which halves of its molecules share. The row "
    "`depth` predicts every gene from interpolated total counts alone.",
    "`skill`: 1 − MSE / MSE of kriging in the same bins, mean over genes. `undefined`: share of the genes whose "
    "prediction is constant.",
    "`deviance`: of the counts of a bin, given its depth (lower is better). `SSIM` is against a noisy truth, and "
    "favours maps that are as noisy.",
    "`coverage`: share of the truth inside 90 % intervals. They are those of a measurement as deep as a spot; a bin or "
    "cell of fewer molecules is noisier, and its coverage lower.",
    "Before each fit of the first seed the audit of `histosge evaluate` was run, and no prediction follows the noise "
    "of the molecules that it is scored with.",
    "`epochs (kept)`: all that were trained, and the one whose weights predict. `windows`: widths of the image patches "
    "that the model reads around a location.",
)


def table_rows(
    result: FineTruthResult, scale: str, *, columns: Sequence[str] = COLUMNS
) -> list[tuple[str, ...]]:
    """Return some columns of the rows of a scale's table, best correlation first."""
    rows = _rows(result, scale, _MAIN)
    shown = [COLUMNS.index(name) for name in columns]
    return [tuple(row[index] for index in shown) for row in rows]


def part_rows(result: FineTruthResult, scale: str) -> list[tuple[str, ...]]:
    """Return the rows of a scale's second table: by distance, by expression, and coverage inside and between."""
    return _rows(result, scale, _PARTS)


def cost_table(result: FineTruthResult) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and rows of time, memory and training of each model.

    Time and memory are those of the fit and the predictions at all scales together, means over seeds. Epochs and
    windows are left out where no model has any.
    """
    costs: dict[str, list[Mapping[str, Any]]] = {}
    for cost in result.costs:
        costs.setdefault(cost["model"], []).append(cost)
    rows = [_cost_row(model, parts) for model, parts in costs.items()]
    shown = [index for index in range(len(_COST_COLUMNS)) if any(row[index] != "–" for row in rows)]
    columns = tuple(_COST_COLUMNS[index] for index in shown)
    return columns, [tuple(row[index] for index in shown) for row in rows]


def _cost_row(model: str, parts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a model's row, dashes where it has no value."""
    keys = (("wall_s", 1.0, 1), ("cpu_s", 1.0, 1), ("peak_mb", 1024.0, 2))
    numbers = (
        f"{sum(part[key] for part in parts) / len(parts) / unit:.{digits}f}" if key in parts[0] else "–"
        for key, unit, digits in keys
    )
    epochs = epochs_text(*([part.get(name) for part in parts] for name in ("epochs", "best_epoch")))
    windows = " / ".join(dict.fromkeys(text for part in parts if (text := part.get("windows_um"))))
    return (model, *numbers, epochs or "–", windows or "–")


def title(result: FineTruthResult, scale: str) -> str:
    """Return the heading of a scale's table, with the number of bins and the noise ceiling."""
    row = result.select(scale=scale, zone="all")[0]
    bins, ceiling = row["bins"] or 0.0, row["ceiling"] or 0.0
    what = f"{bins:.0f} cells" if scale == CELLS else f"{bins:.0f} bins of {scale}"
    return f"{result.truth}, {result.layout}: {what}, noise ceiling {ceiling:.3f}"


def markdown(result: FineTruthResult) -> str:
    """Return all tables as Markdown, with their explanations."""
    spots = ", ".join(f"{part['spots']:.0f} ({part['median_depth']:.0f})" for part in result.spots)
    lines = [f"# {result.truth}: spots of the layout {result.layout}", ""]
    lines += [f"Spots of each seed, in brackets their median molecules: {spots}.", ""]
    for scale in dict.fromkeys(row.scale for row in result.rows):
        lines += markdown_table(title(result, scale), COLUMNS, table_rows(result, scale))
        lines += markdown_table(f"{scale}, parts", PART_COLUMNS, part_rows(result, scale))
    lines += markdown_table("Fit and predictions at all scales", *cost_table(result))
    messages = [*result.messages, *(f"{model} was skipped. {why}" for model, why in result.skipped.items())]
    return "\n".join([*lines, *(f"* {text}" for text in (*EXPLANATIONS, *messages)), ""])


def _rows(result: FineTruthResult, scale: str, columns: _Columns) -> list[tuple[str, ...]]:
    """Return a row for each model, best correlation first."""
    systems: dict[tuple[str, str, str], dict[str, FineTruthRow]] = {}
    for row in result.select(scale=scale):
        systems.setdefault(row.system, {})[row.zone] = row
    order = sorted(systems, key=lambda system: -(systems[system]["all"]["pcc"] or 0.0))
    return [(model_label(system, {}), *_cells(systems[system], columns)) for system in order]


def _cells(zones: dict[str, FineTruthRow], columns: _Columns) -> list[str]:
    cells = []
    for heading, zone, metric, digits in columns:
        value = zones[zone][metric] if zone in zones else None
        deviation = zones[zone][f"{metric}_sd"] if zone in zones and heading == "PCC" else None
        text = "–" if value is None else f"{value:.{digits}f}"
        cells.append(text if deviation is None else f"{text} ± {deviation:.{digits}f}")
    return cells
