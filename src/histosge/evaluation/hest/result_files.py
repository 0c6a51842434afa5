"""The files of a run of HEST-Benchmark: its own, in their official layout, and a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path, holds_only
from histosge._runtime.provenance import environment
from histosge._runtime.types import Array

from .fold import EncodedFold
from .result import HestResult
from .scores import FoldScores

__all__ = ["OfficialFold", "is_result", "write_result"]

_SCORES, _PAGE, _RECORD, _OFFICIAL = "scores.parquet", "scores.md", "scores.json", "official"
_FILES = (_SCORES, _PAGE, _RECORD, _OFFICIAL)
#: whether a folder holds the files of such a run and nothing else
is_result = holds_only(*_FILES)
_QUARTILES = (("q1", 25), ("q2", 50), ("q3", 75))
_TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class OfficialFold:
    """What the benchmark writes of one fold.

    Parameters
    ----------
    task, fold, encoder, head
        Which.
    pooled
        r of each gene over the spots of all test samples.
    genes
        Their names.
    l2, r2
        Mean squared error and coefficient of determination of each gene. The benchmark's protocols have no intercept:
        there these have no meaning.
    """

    task: str
    fold: int
    encoder: str
    head: str
    genes: tuple[str, ...]
    pooled: Array
    l2: Array
    r2: Array

    @classmethod
    def of(
        cls, fold: EncodedFold, encoder: str, head: str, scores: FoldScores, predicted: Sequence[Array]
    ) -> OfficialFold:
        """Return what is written of a fold."""
        truth = np.concatenate([part.targets for part in fold.asked])
        l2 = ((truth - np.concatenate(predicted)) ** 2).mean(axis=0)
        r2 = 1 - l2 / np.maximum(truth.var(axis=0), _TINY)
        task = fold.task
        return cls(task.name, fold.fold.number, encoder, head, task.genes, scores.pooled, l2, r2)

    def as_dict(self) -> dict[str, Any]:
        """Return ``results.json``."""
        quartiles = {
            f"{name}_{quartile}": float(np.percentile(values, percent))
            for name, values in (("l2_error", self.l2), ("r2_score", self.r2))
            for quartile, percent in _QUARTILES
        }
        return {
            "l2_errors": self.l2.tolist(),
            "r2_scores": self.r2.tolist(),
            "pearson_corrs": [
                {"name": gene, "pearson_corr": r}
                for gene, r in zip(self.genes, map(_number, self.pooled.tolist()), strict=True)
            ],
            "pearson_mean": _number(float(self.pooled.mean())),
            "pearson_std": _number(float(self.pooled.std())),
            **quartiles,
        }


def write_result(
    result: HestResult, official: Sequence[OfficialFold], folder: Path, *, seed: int
) -> HestResult:
    """Write a folder whole, or not at all; return the result with its files.

    Raises
    ------
    UsageError
        For a folder that holds something else.
    OutputError
        When the disk is full.
    """
    with atomic_path(folder, own=is_result) as draft:
        draft.mkdir()
        result.scores.to_parquet(draft / _SCORES, index=False)
        (draft / _PAGE).write_text(result.markdown(), encoding="utf-8")
        _write(draft / _RECORD, result.as_dict() | {"seed": seed, "environment": environment()})
        for head in dict.fromkeys(part.head for part in official):
            _write_head([part for part in official if part.head == head], draft / _OFFICIAL / head)
    return replace(result, files=tuple(folder / name for name in _FILES))


def _write_head(parts: Sequence[OfficialFold], folder: Path) -> None:
    """Write the tree of one head as the benchmark writes that of a run."""
    tasks = dict.fromkeys(part.task for part in parts)
    encoders = dict.fromkeys(part.encoder for part in parts)
    means: dict[str, dict[str, float | None]] = {task: {} for task in tasks}
    datasets = []
    for task in tasks:
        rows = []
        for encoder in encoders:
            folds = [part for part in parts if (part.task, part.encoder) == (task, encoder)]
            over_folds = _write_encoder(folds, folder / task / encoder)
            means[task][encoder] = over_folds["pearson_mean"]
            scores = {name: over_folds[name] for name in ("pearson_mean", "pearson_std")}
            rows.append({"encoder_name": encoder} | scores)
        _write(folder / task / "enc_results.json", {"results": rows})
        datasets.append({"dataset_name": task, "results": rows})
    # the unweighted mean over tasks
    average = {encoder: _mean([means[task][encoder] for task in tasks]) for encoder in encoders}
    _write(folder / "dataset_results.json", {"results": datasets, "average": average})
    header = {name: name for name in encoders}
    table: dict[str, Mapping[str, object]] = {"dataset": header, **means, "Average": average}
    text = "".join(
        ",".join([name, *("" if cell is None else str(cell) for cell in row.values())]) + "\n"
        for name, row in table.items()
    )
    (folder / "dataset_results.csv").write_text(text, encoding="utf-8")


def _write_encoder(folds: Sequence[OfficialFold], folder: Path) -> dict[str, Any]:
    """Write the files of each fold, and return the content of the one over all folds."""
    for part in folds:
        results, split = part.as_dict(), folder / f"split{part.fold}"
        _write(split / "results.json", results)
        _write(split / "summary.json", {name: results[name] for name in ("pearson_mean", "pearson_std")})
        _write(split / "config.json", {"head": part.head, "encoder": part.encoder, "dataset": part.task})
    over_folds = _over_folds(folds)
    _write(folder / "results_kfold.json", over_folds)
    return over_folds


def _over_folds(folds: Sequence[OfficialFold]) -> dict[str, Any]:
    """Return ``results_kfold.json`` of an encoder."""
    by_fold = np.array([part.pooled for part in folds])
    means = by_fold.mean(axis=1)
    return {
        "pearson_corrs": [
            {
                "name": gene,
                "pearson_corrs": list(map(_number, values.tolist())),
                "mean": _number(float(values.mean())),
                "std": _number(float(values.std())),
            }
            for gene, values in zip(folds[0].genes, by_fold.T, strict=True)
        ],
        "pearson_mean": _number(float(means.mean())),
        "pearson_std": _number(float(means.std())),
        "mean_per_split": list(map(_number, means.tolist())),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _number(value: float) -> float | None:
    """Return a number that JSON has: not a number becomes null."""
    return None if np.isnan(value) else value


def _write(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
