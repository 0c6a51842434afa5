"""Read the folder of a benchmark, or of an evaluation against a finer truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histosge._runtime.messages import Message
from histosge.errors import DataError, UsageError
from histosge.evaluation.result import SCHEMA
from histosge.evaluation.scores import COLUMNS
from histosge.io.score_record import SCORES, read_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BenchmarkFolder", "FineTruthFolder", "message_of", "read_folder"]

_FINE = ("fine_truth.json", "fine_truth.parquet")
_REMEDY = "Run the same command on that folder again: fits that are done are not done again."


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkFolder:
    """What a benchmark measured.

    Parameters
    ----------
    name
        Of the folder.
    record
        Its ``scores.json``.
    correlations
        Of each gene at test spots: the rows of ``scores.parquet`` whose metric is ``pcc``.
    coverage
        The same of 90 % intervals.
    genes
        ``genes.parquet``: the mean expression of each gene.
    fits
        ``fits.parquet``; ``None`` in folders of earlier versions.
    costs
        ``costs.json``: of each fit.
    environment
        Versions and machine, from the same file.
    message
        What an earlier version did not record; empty where nothing is missing.
    """

    name: str
    record: Mapping[str, Any]
    correlations: pd.DataFrame
    coverage: pd.DataFrame
    genes: pd.DataFrame
    fits: pd.DataFrame | None
    costs: tuple[Mapping[str, Any], ...]
    environment: Mapping[str, Any]
    message: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FineTruthFolder:
    """What an evaluation against a finer truth measured.

    Parameters
    ----------
    name
        Of the folder.
    record
        Its ``fine_truth.json``.
    correlations
        Of each gene everywhere: the rows of ``fine_truth.parquet`` of the zone ``all`` whose metric is ``pcc``.
    costs
        ``costs.json``: of each model and seed.
    environment
        Versions and machine, from the same file.
    """

    name: str
    record: Mapping[str, Any]
    correlations: pd.DataFrame
    costs: tuple[Mapping[str, Any], ...]
    environment: Mapping[str, Any]


def read_folder(folder: Path) -> BenchmarkFolder | FineTruthFolder:
    """Read a folder that ``histosge benchmark`` or ``histosge evaluate`` filled.

    Raises
    ------
    UsageError
        For any other folder, and for a benchmark that has not finished.
    DataError
        For a damaged one.
    """
    if (folder / _FINE[0]).is_file():
        return _fine_truth(folder)
    if not (folder / SCORES).is_file():
        raise UsageError(_no_scores(folder))
    record = read_scores(folder)
    scores = _parquet(folder / "scores.parquet")
    if not set(COLUMNS) <= set(scores.columns) or "rows" not in record:
        raise UsageError(
            f"Expected scores of `histosge benchmark` or `histosge evaluate` in '{folder}', found those of another "
            "command."
        )
    if record.get("schema", 1) > SCHEMA:
        raise UsageError(f"A later version of histosge wrote '{folder}'. Update this one to read it.")
    return _benchmark(folder, record, scores)


def _benchmark(folder: Path, record: Mapping[str, Any], scores: pd.DataFrame) -> BenchmarkFolder:
    name, message, fits = folder.resolve().name, "", None
    if record.get("schema", 1) == SCHEMA:
        fits, genes = _parquet(folder / "fits.parquet"), _parquet(folder / "genes.parquet")
    else:
        # genes stood among the scores, without a model
        genes = scores[(scores["model"] == "") & (scores["metric"] == "expression")]
        genes = genes.rename(columns={"value": "expression"})
        message = (
            f"An earlier version of histosge wrote '{name}': it did not record epochs, initialisation and widths of "
            "windows. Run the same command on that folder again: it fits anew only what has changed since."
        )
    test, costs = scores[scores["set"] == "test"], _costs(folder)
    correlations, coverage = (test[test["metric"] == metric] for metric in ("pcc", "coverage90"))
    return BenchmarkFolder(
        name,
        record,
        correlations,
        coverage,
        genes=genes,
        fits=fits,
        costs=tuple(costs.get("trials", ())),
        environment=costs.get("environment", {}),
        message=message,
    )


def message_of(folder: BenchmarkFolder | FineTruthFolder) -> tuple[Message, ...]:
    """Return what a reader must know of a folder."""
    if isinstance(folder, FineTruthFolder) or not folder.message:
        return ()
    return (Message("warning", folder.message),)


def _no_scores(folder: Path) -> str:
    trials = len(list((folder / "trials").glob("*/trial.json"))) if folder.is_dir() else 0
    if trials:
        return f"The benchmark in '{folder}' has not finished: {trials} fits are done. {_REMEDY}"
    return (
        f"Expected a folder that `histosge benchmark` or `histosge evaluate` filled, got '{folder}'"
        f"{'' if folder.exists() else ', which does not exist'}."
    )


def _fine_truth(folder: Path) -> FineTruthFolder:
    record, scores = _json(folder / _FINE[0]), _parquet(folder / _FINE[1])
    if not isinstance(record.get("rows"), list):
        raise DataError(f"'{folder / _FINE[0]}' is damaged (it has no rows). {_REMEDY}")
    mine = scores[(scores["metric"] == "pcc") & (scores["zone"] == "all") & (scores["model"] != "")]
    costs = _costs(folder)
    fits, computer = tuple(costs.get("trials", ())), costs.get("environment", {})
    return FineTruthFolder(folder.resolve().name, record, mine, fits, computer)


def _costs(folder: Path) -> Mapping[str, Any]:
    path = folder / "costs.json"
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is damaged ({error}). {_REMEDY}") from error
    if not isinstance(content, dict):
        raise DataError(f"'{path}' is damaged (it holds no JSON object). {_REMEDY}")
    return content


def _parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    # pyarrow raises errors of its own, and those of Python
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"'{path}' is missing or damaged ({reason}). {_REMEDY}") from error
