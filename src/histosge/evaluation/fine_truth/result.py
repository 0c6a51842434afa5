"""The result of an evaluation against a finer truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge.evaluation.baselines import REFERENCE
from histosge.evaluation.scores import skill_scores

from .scores import ZONES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "GENE_COLUMNS", "FineTruthResult", "FineTruthRow", "summary"]

#: columns of the tidy table
COLUMNS = (
    "truth",
    "layout",
    "scale",
    "zone",
    "model",
    "preset",
    "encoder",
    "seed",
    "gene",
    "metric",
    "value",
)
#: columns of the table of genes
GENE_COLUMNS = (
    *("truth", "layout", "scale", "zone", "seed", "gene"),
    *("bins", "expression", "ceiling", "ceiling_given_depth"),
)
_SYSTEM = ["model", "preset", "encoder"]
_TERCILES = ("low", "middle", "high")


@dataclass(frozen=True, slots=True)
class FineTruthRow:
    """Scores of a model at one scale and part of the truth: means over genes, then over seeds.

    Parameters
    ----------
    scale
        ``"cells"``, or a width of bins.
    zone
        ``"all"``; ``"inside"`` spots or ``"between"`` them; ``"near"``, ``"middle"``, ``"far"``: terciles of the
        distance to the nearest spot.
    model, preset, encoder
        What was fitted.
    seeds
        Number of seeds: phases and rotations of the lattice, and divisions of the molecules.
    values
        By metric; ``…_sd`` is the standard deviation over seeds. An undefined ``pcc`` counts 0, and
        ``pcc_undefined`` is the share of such genes. ``skill`` is the skill score against kriging on the same bins,
        fitted to the same spots. ``ceiling`` is the noise ceiling of this half of the molecules at this scale,
        ``of_ceiling`` the share of it that ``pcc`` reaches; ``…_given_depth``: the same of partial correlations given
        the logarithm of the depth. ``pcc_low``, ``pcc_middle``, ``pcc_high``: the correlation in terciles of genes by
        expression.
    """

    scale: str
    zone: str
    model: str
    preset: str
    encoder: str
    seeds: int
    values: Mapping[str, float | None]

    def __getitem__(self, metric: str) -> float | None:
        """Return the score by a metric; ``None`` where it is undefined or was not computed."""
        return self.values.get(metric)

    @property
    def system(self) -> tuple[str, str, str]:
        """Model, preset and encoder."""
        return self.model, self.preset, self.encoder

    def as_dict(self) -> dict[str, Any]:
        """Return labels and scores as one flat mapping."""
        names = ("scale", "zone", "model", "preset", "encoder", "seeds")
        return {name: getattr(self, name) for name in names} | dict(self.values)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FineTruthResult:
    """Scores of models fitted to pseudo-spots, at scales of the finer truth that the spots were made of.

    Parameters
    ----------
    truth, layout
        Names of the truth and of the layout of the spots.
    spots
        For each seed: number of spots, median molecules of a spot, spots left out for too few molecules.
    scores
        The tidy table: a value for each scale, part, model, seed, gene and metric.
    genes
        What is known of the truth without any model, for each scale, part, seed and gene: number of bins, mean
        expression over all bins of the scale, noise ceiling of the part, and the ceiling given depth.
    rows
        Its summary.
    costs
        Wall and CPU seconds and peak memory, epochs, widths of windows and device, for each model and seed.
    skipped
        Models that cannot be fitted, with the reason.
    messages
        What was converted.
    files
        The files written; empty without a folder.
    """

    truth: str
    layout: str
    spots: tuple[Mapping[str, float], ...]
    scores: pd.DataFrame
    genes: pd.DataFrame
    rows: tuple[FineTruthRow, ...]
    costs: tuple[Mapping[str, Any], ...]
    skipped: Mapping[str, str]
    messages: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(row.model for row in self.rows))
        return f"FineTruthResult({models} on {self.truth}, {self.layout}; {len(self.spots)} seeds)"

    def select(self, **labels: str) -> tuple[FineTruthRow, ...]:
        """Return the rows with the labels, such as ``select(model="kriging", scale="50 µm", zone="between")``."""
        return tuple(
            row for row in self.rows if all(getattr(row, name) == value for name, value in labels.items())
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the summary as a table."""
        import pandas as pd

        return pd.DataFrame([row.as_dict() for row in self.rows])

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values; equal in every run."""
        return {
            "truth": self.truth,
            "layout": self.layout,
            "spots": [dict(part) for part in self.spots],
            "messages": list(self.messages),
            "skipped": dict(self.skipped),
            "rows": [row.as_dict() for row in self.rows],
        }


def summary(frame: pd.DataFrame, genes: pd.DataFrame) -> tuple[FineTruthRow, ...]:
    """Return a row for each scale, part of the truth and model of the tidy table."""
    of_genes = {
        key: part.set_index("gene") for key, part in genes.groupby(["scale", "zone", "seed"], sort=False)
    }
    kriging_mse = _kriging_mse(frame)
    rows = []
    for (scale, zone, model, preset, encoder), part in frame.groupby(["scale", "zone", *_SYSTEM], sort=False):
        seeds = []
        for seed, values in part.groupby("seed", sort=False):
            table = values.pivot(index="gene", columns="metric", values="value")
            scores = _of_seed(table, of_genes[scale, zone, seed].reindex(table.index))
            if (scale, zone, seed) in kriging_mse:
                reference = kriging_mse[scale, zone, seed].reindex(table.index)
                scores |= skill_scores(table["mse"].to_numpy(), reference.to_numpy())
            seeds.append(scores)
        rows.append(FineTruthRow(scale, zone, model, preset, encoder, len(seeds), _over_seeds(seeds)))
    # stable: scales and models stay in their order
    return tuple(sorted(rows, key=lambda row: ZONES.index(row.zone)))


def _kriging_mse(frame: pd.DataFrame) -> dict[tuple[Any, ...], pd.Series[float]]:
    """Return the errors of kriging, gene by gene, by scale, part of the truth and seed."""
    is_reference = (frame["model"] == REFERENCE.model) & (frame["preset"] == REFERENCE.variant)
    errors = frame[is_reference & (frame["metric"] == "mse")]
    return {
        key: part.set_index("gene")["value"]
        for key, part in errors.groupby(["scale", "zone", "seed"], sort=False)
    }


def _of_seed(table: pd.DataFrame, about: pd.DataFrame) -> dict[str, float]:
    """Return the means over genes of one seed; ``about`` holds expression, ceilings and the number of bins."""
    scores = {str(name): float(np.nanmean(table[name])) for name in table if table[name].notna().any()}
    # a constant prediction has no correlation: 0
    for name in ("pcc", "pcc_given_depth", "spearman"):
        if name in table:
            scores[name] = float(np.nan_to_num(table[name]).mean())
    pcc = np.nan_to_num(table["pcc"].to_numpy())
    scores["pcc_undefined"] = float(table["pcc"].isna().mean())
    scores["bins"] = float(about["bins"].iloc[0])
    for end in ("", "_given_depth"):
        ceiling = about[f"ceiling{end}"].to_numpy()
        scores[f"ceiling{end}"] = float(ceiling.mean())
        scores[f"of_ceiling{end}"] = float(scores[f"pcc{end}"] * len(table) / max(float(ceiling.sum()), 1e-9))
    # ties are broken by position, so that terciles are of equal size
    rank = np.argsort(np.argsort(about["expression"].to_numpy(), kind="stable"))
    tercile = np.minimum(3 * rank // len(rank), 2)
    for index, name in enumerate(_TERCILES):
        if (tercile == index).any():
            scores[f"pcc_{name}"] = float(pcc[tercile == index].mean())
    return scores


def _over_seeds(seeds: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return mean and standard deviation over seeds of each score."""
    scores: dict[str, float | None] = {}
    for name in dict.fromkeys(name for seed in seeds for name in seed):
        values = np.array([seed[name] for seed in seeds if name in seed])
        values = values[np.isfinite(values)]
        scores[name] = float(values.mean()) if len(values) else None
        if len(values) > 1:
            scores[f"{name}_sd"] = float(values.std(ddof=1))
    return scores
