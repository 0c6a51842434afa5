"""Scores: one tidy table, and the summary of it that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.metrics import METRICS, SETS, Comparison
from histosge.metrics.skill import skill_score

from .entry import REFERENCE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "KEYS", "row_name", "score", "summary", "tidy"]

COLUMNS = ("section", "split", "set", "model", "preset", "encoder", "seed", "gene", "metric", "value")
# what makes a row of a table, before seeds are averaged
KEYS = ("section", "split", "model", "preset", "encoder", "set")
_TOP = 50
_STRATA = ("low", "middle", "high")


def score(case: Comparison, rows: Mapping[str, Array]) -> dict[tuple[str, str], Array]:
    """Return (set, metric) → one value a gene.

    Parameters
    ----------
    case
        Truth and prediction at all spots.
    rows
        The spots of each score set; empty sets are left out.
    """
    found: dict[tuple[str, str], Array] = {}
    for name in SETS:
        if not len(rows[name]):
            continue
        part = _part(case, rows[name])
        for metric in METRICS.values():
            if name in metric.card.sets and (values := metric.compute(part)) is not None:
                found[name, metric.card.name] = values
    return found


def tidy(values: Mapping[tuple[str, str], Array], genes: Array, labels: Mapping[str, Any]) -> pd.DataFrame:
    """Return scores as rows of the tidy table."""
    import pandas as pd

    frames = [
        pd.DataFrame({"gene": genes, "value": column.astype(np.float64), "set": name, "metric": metric})
        for (name, metric), column in values.items()
    ]
    frame = pd.concat(frames, ignore_index=True).assign(**labels)
    return frame[list(COLUMNS)]


def summary(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one record per section, split, model, encoder and set: means over genes, then over seeds.

    ``pcc`` counts undefined correlations as 0; ``pcc_defined`` drops them, as the paper does; ``pcc_undefined`` is
    their share. ``skill`` compares with kriging on the same spots; ``ceiling`` is the share of what noise allows.
    """
    records = []
    context = _Context.of(frame)
    for key, group in frame[frame["model"] != ""].groupby(list(KEYS), sort=False, observed=True):
        labels = dict(zip(KEYS, key, strict=True))
        seeds = [context.of_seed(labels, seed, part) for seed, part in group.groupby("seed")]
        records.append({**labels, "seeds": len(seeds), **_over_seeds(seeds)})
    return records


def row_name(key: tuple[str, str, str], remarks: Mapping[str, str]) -> str:
    """Return model, preset, encoder, and what every table must say of it, such as that its network began at random.

    Parameters
    ----------
    key
        Model, preset, encoder.
    remarks
        What must be said, by model and preset.
    """
    model, preset, encoder = key
    remark = remarks.get(f"{model} {preset}".strip(), "")
    words = [word for word in (preset, encoder if encoder != "texture" else "", remark) if word]
    return f"{model} ({', '.join(words)})" if words else model


def _part(case: Comparison, rows: Array) -> Comparison:
    found: dict[str, Any] = {}
    for name in Comparison.__dataclass_fields__:
        part = getattr(case, name)
        found[name] = None if part is None else part[rows]
    return Comparison(**found)


def _over_seeds(seeds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return mean and standard deviation over seeds of each number."""
    names = list(dict.fromkeys(name for seed in seeds for name in seed))
    found: dict[str, Any] = {}
    for name in names:
        values = np.array([seed.get(name, np.nan) for seed in seeds])
        values = values[np.isfinite(values)]
        found[name] = float(values.mean()) if len(values) else None
        if len(values) > 1:
            found[f"{name}_sd"] = float(values.std(ddof=1))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """What a row is compared with: the reference's errors, ceilings and expression, by section, split and seed."""

    errors: Mapping[tuple[Any, ...], pd.Series[float]]
    genes: Mapping[tuple[Any, ...], pd.DataFrame]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Context:
        known = (frame["model"] == REFERENCE.model) & (frame["preset"] == REFERENCE.variant)
        errors = frame[known & (frame["metric"] == "mse")]
        by = ["section", "split", "seed"]
        about = frame[frame["model"] == ""]
        return cls(
            {
                key: part.set_index("gene")["value"]
                for key, part in errors.groupby([*by, "set"], observed=True)
            },
            {
                key: part.pivot(index="gene", columns="metric", values="value")
                for key, part in about.groupby(by, observed=True)
            },
        )

    def of_seed(self, labels: Mapping[str, Any], seed: int, part: pd.DataFrame) -> dict[str, float]:
        """Return the numbers of one seed."""
        table = part.pivot(index="gene", columns="metric", values="value")
        key = (labels["section"], labels["split"], seed)
        found = {str(name): float(table[name].mean()) for name in table.columns if name != "pcc"}
        if "pcc" in table:
            found = _correlation(table["pcc"].to_numpy()) | found
            if key in self.genes:
                found |= self._explained(table["pcc"], self.genes[key])
        if "mse" in table and (*key, labels["set"]) in self.errors:
            errors = self.errors[*key, labels["set"]].reindex(table.index).to_numpy()
            gained = skill_score(table["mse"].to_numpy(), errors)
            found |= {"skill": float(np.nanmean(gained)), "skill_positive": float((gained > 0).mean())}
            found["skill_median"] = float(np.nanmedian(gained))
        return found

    @staticmethod
    def _explained(pcc: pd.Series[float], about: pd.DataFrame) -> dict[str, float]:
        """Return the share of the ceiling reached, and correlation by thirds of expression."""
        about = about.reindex(pcc.index)
        counted = np.nan_to_num(pcc.to_numpy())
        ceiling = about["ceiling"].to_numpy()
        found = {"ceiling": float(ceiling.mean())}
        found["of_ceiling"] = float(counted.sum() / max(ceiling.sum(), 1e-9))
        rank = about["expression"].rank(method="first").to_numpy() - 1
        third = np.minimum((3 * rank / len(rank)).astype(int), 2)
        for index, word in enumerate(_STRATA):
            if (third == index).any():
                found[f"pcc_{word}"] = float(counted[third == index].mean())
        return found


def _correlation(pcc: Array) -> dict[str, float]:
    """Return the summaries of a column of correlations, some of them undefined."""
    counted = np.nan_to_num(pcc)
    defined = pcc[np.isfinite(pcc)]
    return {
        "pcc": float(counted.mean()),
        "pcc_median": float(np.median(counted)),
        "pcc_top50": float(np.sort(counted)[-_TOP:].mean()),
        "pcc_defined": float(defined.mean()) if len(defined) else np.nan,
        "pcc_undefined": float(np.isnan(pcc).mean()),
    }
