"""Rows of evaluations against a finer truth: one for each scale and system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from histosge.evaluation.epochs import epochs_text

from .cell import Cell, absent, mean_of, number, percent, standard_error, words
from .read_folder import FineTruthFolder
from .section_rows import (
    REFERENCE,
    compared_with,
    devices_text,
    difference,
    initialisation,
    reference_of,
    system_name,
)

__all__ = ["finer_truth_rows", "without_repeated_rows"]

_SYSTEM = ("model", "preset", "encoder")
# what the rows of a scale show of parts of the truth
_PARTS = ("inside", "between")
_NOT_RECORDED = "not recorded"
# rows of two folders that agree in these are one
_SAME = ("truth", "scale", "system", "encoder", "reference", "seeds", "r")


def finer_truth_rows(folder: FineTruthFolder) -> list[dict[str, Cell]]:
    """Return a row of cells for each scale and system."""
    by_part: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for row in folder.record["rows"]:
        key = (str(row["scale"]), *(str(row[name]) for name in _SYSTEM))
        by_part.setdefault(key, {})[row["zone"]] = row
    by_seed = _by_seed(folder)
    return [_row(folder, key, parts, by_seed) for key, parts in by_part.items() if "all" in parts]


def without_repeated_rows(rows: Sequence[Mapping[str, Cell]]) -> list[Mapping[str, Cell]]:
    """Return the rows scale by scale, best correlation first.

    A row that an earlier folder has too, of the same system and scores, is left out: baselines run with each of them.
    """
    known: dict[tuple[str, ...], Mapping[str, Cell]] = {}
    for row in rows:
        known.setdefault(tuple(row[name].text for name in _SAME), row)
    shown = list(known.values())
    position = {
        key: index
        for index, key in enumerate(dict.fromkeys((row["truth"].text, row["scale"].text) for row in shown))
    }
    return sorted(shown, key=lambda row: (position[row["truth"].text, row["scale"].text], -_value(row["r"])))


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
        "given_depth": number(whole.get("pcc_given_depth"), _NOT_RECORDED),
        "of_ceiling": percent(whole.get("of_ceiling"), "no noise ceiling"),
        # results of earlier versions have no skill score
        "skill": number(whole.get("skill"), _NOT_RECORDED, digits=3, signed=True),
        "undefined": percent(whole.get("pcc_undefined"), _NOT_RECORDED, digits=1),
        "coverage": percent(whole.get("coverage90"), "gives no intervals", digits=1),
        "encoder": words(encoder, "no features"),
        **_fit_cells(folder, model, preset, encoder),
        "seeds": Cell(str(whole.get("seeds", len(mine))), float(whole.get("seeds", len(mine)))),
        "benchmark": words(folder.name, ""),
    }


def _fit_cells(folder: FineTruthFolder, model: str, preset: str, encoder: str) -> dict[str, Cell]:
    """Return how and where a model was trained, and the seconds of the fit and all predictions together."""
    # costs name the model as tables do
    details = [word for word in (preset, encoder if encoder != "texture" else "") if word]
    label = f"{model} ({', '.join(details)})" if details else model
    fits = [cost for cost in folder.costs if cost.get("model") == label]
    cells = {
        f"{name}_s": number(mean_of(fit.get(key) for fit in fits), _NOT_RECORDED, digits=1)
        for name, key in (("fit", "wall_s"), ("cpu", "cpu_s"))
    }
    if not any("is_network" in fit for fit in fits):
        names = ("epochs", "initialisation", "windows_um", "device")
        return cells | dict.fromkeys(names, absent(_NOT_RECORDED))
    is_network = any(fit["is_network"] for fit in fits)
    epochs = epochs_text(*([fit.get(name) for fit in fits] for name in ("epochs", "best_epoch")))
    started = " / ".join(dict.fromkeys(text for fit in fits if (text := fit.get("initialisation"))))
    windows = " / ".join(dict.fromkeys(text for fit in fits if (text := fit.get("windows_um"))))
    # earlier versions do not say what trained a network; all else is fitted on a CPU
    devices = [fit.get("device", "" if is_network else "cpu") for fit in fits]
    shown = Cell(epochs, mean_of(fit.get("epochs") for fit in fits)) if epochs else None
    return cells | {
        "epochs": shown or absent(_NOT_RECORDED if is_network else "no network"),
        "initialisation": initialisation(started, is_network=is_network),
        "windows_um": words(windows, "reads no image"),
        "device": words(devices_text(devices, folder.environment), _NOT_RECORDED),
    }


def _value(cell: Cell) -> float:
    return cell.value if isinstance(cell.value, float) else -np.inf
