"""Tables of an evaluation against a finer truth: one for each scale, a row for each model."""

from __future__ import annotations

from collections.abc import Sequence

from histosge.evaluation.tables import markdown_table, model_label

from .result import FineTruthResult, FineTruthRow
from .scales import CELLS

__all__ = ["COLUMNS", "EXPLANATIONS", "SCREEN_COLUMNS", "markdown", "table_rows", "title"]

#: heading, part of the truth, metric, digits
_CELLS = (
    ("PCC", "all", "pcc", 3),
    ("inside", "inside", "pcc", 3),
    ("between", "between", "pcc", 3),
    ("far", "far", "pcc", 3),
    ("given depth", "all", "pcc_given_depth", 3),
    ("Spearman", "all", "spearman", 3),
    ("SSIM", "all", "ssim", 3),
    ("deviance", "all", "deviance", 3),
    ("of ceiling", "all", "of_ceiling", 2),
    ("of it given depth", "all", "of_ceiling_given_depth", 2),
    ("coverage", "all", "coverage90", 3),
)
COLUMNS = ("model", *(heading for heading, *_ in _CELLS))
# the columns that fit into a terminal
SCREEN_COLUMNS = ("model", "PCC", "inside", "between", "given depth", "deviance", "of ceiling", "coverage")

EXPLANATIONS = (
    "Means over genes and seeds; undefined correlations count as 0. `inside`: centres in a spot; `between`: bins that "
    "no spot touches; `far`: the third that is farthest from any spot. Spots and truth have no molecule in common.",
    "`of ceiling`: share of the correlation that a perfect prediction would reach at this scale. `given depth`: "
    "partial correlation given the logarithm of the molecules of the bin, which halves of its molecules share.",
    "`coverage`: share of the truth inside 90 % intervals. They are those of a measurement as deep as a spot; a bin or "
    "cell of fewer molecules is noisier, and its coverage lower.",
)


def table_rows(
    result: FineTruthResult, scale: str, *, columns: Sequence[str] = COLUMNS
) -> list[tuple[str, ...]]:
    """Return some columns of the rows of a scale's table, best correlation first."""
    systems: dict[tuple[str, str, str], dict[str, FineTruthRow]] = {}
    for row in result.select(scale=scale):
        systems.setdefault(row.system, {})[row.zone] = row
    order = sorted(systems, key=lambda system: -(systems[system]["all"]["pcc"] or 0.0))
    shown = [COLUMNS.index(name) for name in columns]
    rows = [(model_label(system, {}), *_cells(systems[system])) for system in order]
    return [tuple(row[index] for index in shown) for row in rows]


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
    messages = [*result.messages, *(f"{model} was skipped. {why}" for model, why in result.skipped.items())]
    return "\n".join([*lines, *(f"* {text}" for text in (*EXPLANATIONS, *messages)), ""])


def _cells(zones: dict[str, FineTruthRow]) -> list[str]:
    cells = []
    for _, zone, metric, digits in _CELLS:
        value = zones[zone][metric] if zone in zones else None
        cells.append("–" if value is None else f"{value:.{digits}f}")
    return cells
