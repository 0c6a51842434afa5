"""Rows of evaluations against a finer truth: one for each scale and system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .cell import Cell, mean_of, number, percent, standard_error, words
from .read_folder import FineTruthFolder
from .section_rows import REFERENCE, compared_with, difference, reference_of, system_name

__all__ = ["finer_truth_rows"]

_SYSTEM = ("model", "preset", "encoder")
# what the rows of a scale show of parts of the truth
_PARTS = ("inside", "between")


def finer_truth_rows(folder: FineTruthFolder) -> list[dict[str, Cell]]:
    """Return a row of cells for each scale and system, scale by scale, best correlation first."""
    by_part: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for row in folder.record["rows"]:
        key = (str(row["scale"]), *(str(row[name]) for name in _SYSTEM))
        by_part.setdefault(key, {})[row["zone"]] = row
    by_seed = _by_seed(folder)
    rows = [_row(folder, key, parts, by_seed) for key, parts in by_part.items() if "all" in parts]
    position = {key: index for index, key in enumerate(dict.fromkeys(key[0] for key in by_part))}
    return sorted(rows, key=lambda row: (position[str(row["scale"].value)], -_value(row["r"])))


def _by_seed(folder: FineTruthFolder) -> dict[tuple[str, ...], dict[int, float]]:
    frame = folder.correlations
    labels = [frame[name].astype(str) for name in ("scale", *_SYSTEM)]
    means: dict[tuple[str, ...], dict[int, float]] = {}
    for (*key, seed), value in frame["value"].fillna(0.0).groupby([*labels, frame["seed"]]).mean().items():
        means.setdefault(tuple(key), {})[int(seed)] = float(value)
    return means


def _row(
    folder: FineTruthFolder,
    key: tuple[str, ...],
    parts: Mapping[str, Mapping[str, Any]],
    by_seed: Mapping[tuple[str, ...], dict[int, float]],
) -> dict[str, Cell]:
    scale, model, preset, encoder = key
    mine, whole = by_seed.get(key, {}), parts["all"]
    known = [other[3] for other in by_seed if other[:3] == (scale, REFERENCE, "")]
    reference, is_reference = reference_of(encoder, known), (model, preset) == (REFERENCE, "")
    theirs = {} if is_reference or reference is None else by_seed[scale, REFERENCE, "", reference]
    differences = tuple(mine[seed] - theirs[seed] for seed in mine if seed in theirs)
    named = compared_with(reference, known)
    error = standard_error(list(mine.values()))
    truth = f"{folder.record.get('truth', folder.name)}, {folder.record.get('layout', '')}"
    return {
        "system": words(system_name(model, preset), ""),
        "truth": words(truth, ""),
        "scale": words(scale, ""),
        "r": number(whole.get("pcc"), error=error, no_error="" if error is not None else "one seed"),
        "difference": difference(differences, named, is_reference=is_reference),
        "reference": named,
        **{part: number(parts.get(part, {}).get("pcc"), "no such bins") for part in _PARTS},
        "given_depth": number(whole.get("pcc_given_depth"), "not recorded"),
        "of_ceiling": percent(whole.get("of_ceiling"), "no noise ceiling"),
        "coverage": percent(whole.get("coverage90"), "gives no intervals", digits=1),
        "encoder": words(encoder, "no features"),
        "cpu_s": _cpu(folder, model, preset, encoder),
        "seeds": Cell(str(whole.get("seeds", len(mine))), float(whole.get("seeds", len(mine)))),
        "benchmark": words(folder.name, ""),
    }


def _cpu(folder: FineTruthFolder, model: str, preset: str, encoder: str) -> Cell:
    """Return CPU seconds of the fit and all predictions together; costs name the model as tables do."""
    details = [word for word in (preset, encoder if encoder != "texture" else "") if word]
    label = f"{model} ({', '.join(details)})" if details else model
    seconds = (cost.get("cpu_s") for cost in folder.costs if cost.get("model") == label)
    return number(mean_of(seconds), "not recorded", digits=1)


def _value(cell: Cell) -> float:
    return cell.value if isinstance(cell.value, float) else -np.inf
