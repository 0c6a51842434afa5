"""Scores: one tidy table of every gene, and its summary by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.metrics import METRICS, SETS, Comparison
from histosge.metrics.skill import skill_score

from .baselines import REFERENCE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "GENE_COLUMNS", "KEYS", "ScoreRow", "score", "skill_scores", "summary", "tidy"]

COLUMNS = ("section", "split", "set", "model", "preset", "encoder", "seed", "gene", "metric", "value")
#: columns of the table of genes, which no model has a part in
GENE_COLUMNS = ("section", "split", "seed", "gene", "expression", "ceiling", "ceiling_given_depth")
# columns that identify a row of the summary; seeds are averaged
KEYS = ("section", "split", "model", "preset", "encoder", "set")
# published tables report the mean of the best 50 genes too
_TOP = 50
_TERCILES = ("low", "middle", "high")
# after the name of a score: over spots of the same depth
_GIVEN_DEPTH = "_given_depth"


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Scores of one model on one section, split and score set: means over genes, then over seeds.

    Parameters
    ----------
    section, split, model, preset, encoder, set
        What was scored, and on which spots: ``"test"``, ``"training"`` or ``"pooled"``.
    seeds
        Number of seeds.
    values
        By metric; ``…_sd`` is the standard deviation over seeds. ``None`` where a score is undefined.

        ``pcc`` counts undefined correlations as 0, ``pcc_defined`` drops them as the paper does, and
        ``pcc_undefined`` is their fraction. ``pcc_given_depth`` is the correlation over spots of the same depth, with
        undefined ones as 0. ``skill`` is the skill score against kriging on the same spots, ``ceiling`` the noise
        ceiling, ``of_ceiling`` the fraction of it that the correlation reaches, ``ceiling_given_depth`` and
        ``of_ceiling_given_depth`` the same given depth, and ``pcc_low``, ``pcc_middle``, ``pcc_high`` the correlation
        in terciles of genes by expression.
    """

    section: str
    split: str
    model: str
    preset: str
    encoder: str
    set: str
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
        return {name: getattr(self, name) for name in (*KEYS, "seeds")} | dict(self.values)


def score(comparison: Comparison, sets: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
    """Return one value per gene for each (score set, metric).

    Parameters
    ----------
    comparison
        Truth and prediction at all spots.
    sets
        The rows of each score set; empty sets are left out.
    """
    values: dict[tuple[str, str], Array] = {}
    for name in SETS:
        if not len(sets[name]):
            continue
        part = _rows_of(comparison, sets[name])
        for metric in METRICS.values():
            if name in metric.card.sets and (column := metric.compute(part)) is not None:
                values[name, metric.card.name] = column
    return values


def tidy(values: Mapping[tuple[str, str], Array], genes: Array, labels: Mapping[str, Any]) -> pd.DataFrame:
    """Return scores as rows of the tidy table."""
    import pandas as pd

    frames = [
        pd.DataFrame({"gene": genes, "value": column.astype(np.float64), "set": name, "metric": metric})
        for (name, metric), column in values.items()
    ]
    frame = pd.concat(frames, ignore_index=True).assign(**labels)
    return frame[list(COLUMNS)]


def summary(frame: pd.DataFrame, genes: pd.DataFrame) -> tuple[ScoreRow, ...]:
    """Return one row per section, split, model, encoder and score set of the tidy table.

    Parameters
    ----------
    frame
        The tidy table.
    genes
        Noise ceiling and mean expression of each gene (:data:`GENE_COLUMNS`).
    """
    rows = []
    context = _Context.of(frame, genes)
    for key, group in frame.groupby(list(KEYS), sort=False, observed=True):
        labels = dict(zip(KEYS, key, strict=True))
        seeds = [context.of_seed(labels, seed, part) for seed, part in group.groupby("seed")]
        rows.append(ScoreRow(**labels, seeds=len(seeds), values=_over_seeds(seeds)))
    return tuple(rows)


def skill_scores(mse: Float[np.ndarray, " g"], kriging_mse: Float[np.ndarray, " g"]) -> dict[str, float]:
    """Return mean and median of the skill score over genes, and the fraction of genes that gain over kriging.

    Examples
    --------
    >>> skill_scores(np.array([0.5, 2.0]), np.array([1.0, 1.0]))
    {'skill': -0.25, 'skill_positive': 0.5, 'skill_median': -0.25}
    """
    skill = skill_score(mse, kriging_mse)
    return {
        "skill": float(np.nanmean(skill)),
        "skill_positive": float((skill > 0).mean()),
        "skill_median": float(np.nanmedian(skill)),
    }


def _rows_of(comparison: Comparison, rows: Array) -> Comparison:
    arrays = {name: getattr(comparison, name) for name in Comparison.__dataclass_fields__}
    return replace(comparison, **{name: array[rows] for name, array in arrays.items() if array is not None})


def _over_seeds(seeds: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return mean and standard deviation over seeds of each score."""
    names = list(dict.fromkeys(name for seed in seeds for name in seed))
    scores: dict[str, float | None] = {}
    for name in names:
        values = np.array([seed.get(name, np.nan) for seed in seeds])
        # a score that is undefined for one seed is the mean of the others
        values = values[np.isfinite(values)]
        scores[name] = float(values.mean()) if len(values) else None
        if len(values) > 1:
            scores[f"{name}_sd"] = float(values.std(ddof=1))
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """Errors of kriging, and noise ceiling and expression of genes, by section, split and seed."""

    kriging_mse: Mapping[tuple[Any, ...], pd.Series[float]]
    genes: Mapping[tuple[Any, ...], pd.DataFrame]

    @classmethod
    def of(cls, frame: pd.DataFrame, genes: pd.DataFrame) -> _Context:
        reference = (frame["model"] == REFERENCE.model) & (frame["preset"] == REFERENCE.variant)
        errors = frame[reference & (frame["metric"] == "mse")]
        by = ["section", "split", "seed"]
        return cls(
            {
                key: part.set_index("gene")["value"]
                for key, part in errors.groupby([*by, "set"], observed=True)
            },
            {key: part.set_index("gene") for key, part in genes.groupby(by, observed=True)},
        )

    def of_seed(self, labels: Mapping[str, Any], seed: int, part: pd.DataFrame) -> dict[str, float]:
        """Return the scores of one seed."""
        table = part.pivot(index="gene", columns="metric", values="value")
        key = (labels["section"], labels["split"], seed)
        scores = {str(name): float(table[name].mean()) for name in table.columns if name != "pcc"}
        if "pcc" in table:
            scores = _correlations(table["pcc"].to_numpy()) | scores
            if key in self.genes:
                scores |= _by_expression(table["pcc"], self.genes[key])
        for suffix in ("", _GIVEN_DEPTH):
            if (name := f"pcc{suffix}") in table:
                # as for the correlation itself: a prediction without any pattern is not left out of the mean
                scores[name] = float(table[name].fillna(0.0).mean())
                if key in self.genes:
                    scores |= _against_ceiling(table[name], self.genes[key], suffix)
        if "mse" in table and (*key, labels["set"]) in self.kriging_mse:
            reference = self.kriging_mse[*key, labels["set"]].reindex(table.index).to_numpy()
            scores |= skill_scores(table["mse"].to_numpy(), reference)
        return scores


def _correlations(pcc: Array) -> dict[str, float]:
    """Return the summaries of correlations of genes, some of which are undefined."""
    with_zeros = np.nan_to_num(pcc)
    defined = pcc[np.isfinite(pcc)]
    return {
        "pcc": float(with_zeros.mean()),
        "pcc_median": float(np.median(with_zeros)),
        "pcc_top50": float(np.sort(with_zeros)[-_TOP:].mean()),
        "pcc_defined": float(defined.mean()) if len(defined) else np.nan,
        "pcc_undefined": float(np.isnan(pcc).mean()),
    }


def _against_ceiling(pcc: pd.Series[float], statistics: pd.DataFrame, suffix: str) -> dict[str, float]:
    """Return the noise ceiling and the fraction of it that is reached; scores without ceiling have neither."""
    name = f"ceiling{suffix}"
    if name not in statistics:
        return {}
    ceiling = statistics[name].reindex(pcc.index).to_numpy()
    reached = np.nan_to_num(pcc.to_numpy()).sum() / max(ceiling.sum(), 1e-9)
    return {name: float(ceiling.mean()), f"of_{name}": float(reached)}


def _by_expression(pcc: pd.Series[float], statistics: pd.DataFrame) -> dict[str, float]:
    """Return correlations by tercile of expression."""
    with_zeros = np.nan_to_num(pcc.to_numpy())
    # ties are broken by position, so that terciles are of equal size
    rank = statistics["expression"].reindex(pcc.index).rank(method="first").to_numpy() - 1
    tercile = np.minimum((3 * rank / len(rank)).astype(int), 2)
    return {
        f"pcc_{name}": float(with_zeros[tercile == index].mean())
        for index, name in enumerate(_TERCILES)
        if (tercile == index).any()
    }
