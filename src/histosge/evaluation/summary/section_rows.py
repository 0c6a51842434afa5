"""Rows of a benchmark: one for each section, split and system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge.evaluation.epochs import epochs_text
from histosge.evaluation.plan import WHOLE_SECTION

from .cell import Cell, absent, mean_of, number, percent, standard_error, words
from .read_folder import BenchmarkFolder
from .sentences import versions_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REFERENCE",
    "SectionRow",
    "compared_with",
    "devices_text",
    "difference",
    "initialisation",
    "reference_of",
    "section_rows",
    "system_name",
]

#: the model that every other one is compared with, section by section and seed by seed
REFERENCE = "cokriging"
_SYSTEM = ("model", "preset", "encoder")
_NOT_RECORDED = "not recorded"
_WHOLE = "kriging cannot predict a whole section"


@dataclass(frozen=True, slots=True, eq=False)
class SectionRow:
    """A system on one section and split.

    Parameters
    ----------
    benchmark, genes, section, split
        Where it was measured.
    model, preset, encoder
        What was measured.
    seeds
        Number of seeds.
    by_seed
        Correlation at test spots, mean over genes, of each seed.
    differences
        The same less that of cokriging, of each seed that both have; empty where there is nothing to compare with.
    reference
        Encoder of that cokriging; empty where there is none.
    scores
        Means over genes and seeds, as in ``scores.json``.
    cells
        What a reader sees, by column.
    version
        Of histosge and PyTorch; empty where it is not recorded.
    """

    benchmark: str
    genes: str
    section: str
    split: str
    model: str
    preset: str
    encoder: str
    seeds: int
    by_seed: Mapping[int, float]
    differences: Mapping[int, float]
    reference: str
    scores: Mapping[str, Any]
    cells: Mapping[str, Cell]
    version: str = ""

    @property
    def system(self) -> str:
        """The name in tables."""
        return system_name(self.model, self.preset)


def system_name(model: str, preset: str) -> str:
    """Return a system's name as tables and pages have it: the model, and its preset in brackets."""
    return f"{model} ({preset})" if preset else model


def section_rows(folder: BenchmarkFolder) -> list[SectionRow]:
    """Return the rows of a benchmark, in the order of its sections and splits, best correlation first."""
    by_seed = _by_seed(folder.correlations)
    fits = {key: _fit_of(folder, key) for key in by_seed}
    encoders = _encoders_of_reference(folder, by_seed)
    rows = [
        _row(folder, row, by_seed, fits[_key(row)], encoders.get((row["section"], row["split"]), []))
        for row in folder.record["rows"]
        if row["set"] == "test" and _key(row) in by_seed
    ]
    position = {
        key: index for index, key in enumerate(dict.fromkeys((row.section, row.split) for row in rows))
    }
    return sorted(rows, key=lambda row: (position[row.section, row.split], -(row.scores.get("pcc") or 0.0)))


def reference_of(encoder: str, known: Sequence[str]) -> str | None:
    """Return the encoder of the cokriging that a system is compared with; ``None`` where there is none.

    A system that reads features is compared with cokriging on the same features, any other with the first there is.

    Examples
    --------
    >>> reference_of("", ["texture", "uni"]), reference_of("uni", ["texture", "uni"]), reference_of("uni", ["texture"])
    ('texture', 'uni', None)
    """
    if not encoder:
        return known[0] if known else None
    return encoder if encoder in known else None


def compared_with(encoder: str | None, known: Sequence[str]) -> Cell:
    """Return the cell that names the cokriging that a system is compared with; of cokriging itself its own name."""
    if encoder is None:
        return absent(f"no {REFERENCE} on these features" if known else f"no {REFERENCE} here")
    return words(f"{REFERENCE}, {encoder}" if encoder else REFERENCE, "")


def difference(differences: Sequence[float], reference: Cell, *, is_reference: bool) -> Cell:
    """Return the cell of the difference to cokriging on one section, with its error over seeds."""
    if is_reference:
        return absent(f"this is {REFERENCE}")
    if reference.is_absent:
        return reference
    if not differences:
        return absent(f"no seed in common with {REFERENCE}")
    error = standard_error(differences)
    no_error = "" if error is not None else "one seed"
    return number(float(np.mean(differences)), signed=True, error=error, no_error=no_error)


def initialisation(text: str, *, is_network: bool) -> Cell:
    """Return the cell of what networks start from; a fit that records nothing starts from random weights.

    Examples
    --------
    >>> initialisation("random initialisation", is_network=True).text, initialisation("", is_network=True).text
    ('random', 'random')
    """
    # fits say it in a sentence of their own, which the heading of a column makes one word
    word = text.replace("random initialisation", "random")
    return words(word or ("random" if is_network else ""), "no network")


def devices_text(devices: Iterable[str], environment: Mapping[str, Any]) -> str:
    """Return the devices of fits, each once, a CPU by the name of its processor; nothing where none is recorded.

    Examples
    --------
    >>> devices_text(["cpu", "cpu", ""], {"processor": "AMD EPYC"})
    'cpu: AMD EPYC'
    """
    processor = environment.get("processor")
    named = (f"cpu: {processor}" if text == "cpu" and processor else text for text in devices if text)
    return " / ".join(dict.fromkeys(named))


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("section", "split", *_SYSTEM))


def _by_seed(correlations: pd.DataFrame) -> dict[tuple[str, ...], dict[int, float]]:
    """Return the mean correlation over genes, undefined ones as 0, by section, split, system and seed."""
    labels = ["section", "split", *_SYSTEM]
    values = (
        correlations["value"]
        .fillna(0.0)
        .groupby([*(correlations[name].astype(str) for name in labels), correlations["seed"]])
    )
    means: dict[tuple[str, ...], dict[int, float]] = {}
    for (*key, seed), value in values.mean().items():
        means.setdefault(tuple(key), {})[int(seed)] = float(value)
    return means


def _encoders_of_reference(
    folder: BenchmarkFolder, by_seed: Mapping[tuple[str, ...], Any]
) -> dict[Any, list[str]]:
    """Return the encoders of cokriging by section and split, in the order of the plan."""
    encoders: dict[Any, list[str]] = {}
    for row in folder.record["rows"]:
        if row["set"] == "test" and _key(row)[2:4] == (REFERENCE, "") and _key(row) in by_seed:
            encoders.setdefault((row["section"], row["split"]), []).append(str(row["encoder"]))
    return encoders


def _fit_of(folder: BenchmarkFolder, key: tuple[str, ...]) -> dict[str, Any]:
    """Return the costs of a system on a section, means over seeds, and how it was trained."""
    names = ("section", "split", *_SYSTEM)
    costs = [part["cost"] for part in folder.costs if tuple(str(part.get(name, "")) for name in names) == key]
    known: dict[str, Any] = {
        name: mean_of(cost.get(name) for cost in costs) for name in ("fit_wall_s", "fit_cpu_s", "fit_peak_mb")
    }
    if folder.fits is None:
        return known | {"is_network": None}
    mine = np.all(
        [folder.fits[name].astype(str) == part for name, part in zip(names, key, strict=True)], axis=0
    )
    part = folder.fits[mine]
    known |= {name: part[name].dropna().tolist() for name in ("epochs", "best_epoch")}
    for name in ("windows_um", "initialisation"):
        known[name] = " / ".join(dict.fromkeys(text for text in part[name] if text))
    # folders of earlier versions do not say what trained a network; all else is fitted on a CPU
    is_network = bool(part["is_network"].any())
    devices = part.get("device", [] if is_network else ["cpu"])
    known["device"] = devices_text(devices, folder.environment)
    return known | {"is_network": is_network}


def _row(
    folder: BenchmarkFolder,
    row: Mapping[str, Any],
    by_seed: Mapping[tuple[str, ...], dict[int, float]],
    fit: Mapping[str, Any],
    encoders: Sequence[str],
) -> SectionRow:
    key, reference = _key(row), reference_of(str(row["encoder"]), encoders)
    is_reference = key[2:4] == (REFERENCE, "")
    mine = by_seed[key]
    theirs = {} if is_reference or reference is None else by_seed[*key[:2], REFERENCE, "", reference]
    differences = {seed: mine[seed] - theirs[seed] for seed in mine if seed in theirs}
    error = standard_error(list(mine.values()))
    named = compared_with(reference, encoders)
    cells = {
        "r": number(row.get("pcc"), error=error, no_error="" if error is not None else "one seed"),
        "difference": difference(list(differences.values()), named, is_reference=is_reference),
        "reference": named,
        **_score_cells(row),
        **_fit_cells(fit, str(row["encoder"])),
        "seeds": Cell(str(row["seeds"]), float(row["seeds"])),
    }
    labels = {name: str(row[name]) for name in ("section", "split", *_SYSTEM)}
    genes = str(folder.record.get("genes", ""))
    return SectionRow(
        folder.name,
        f"{genes} of all spots" if folder.record.get("hvg_scope") == "all" else genes,
        **labels,
        seeds=int(row["seeds"]),
        by_seed=mine,
        differences=differences,
        reference=reference or "",
        scores=row,
        cells=cells,
        version=versions_of(folder.environment),
    )


def _score_cells(row: Mapping[str, Any]) -> dict[str, Cell]:
    whole = row["split"] in WHOLE_SECTION
    no_intervals = "fit at the mean depth" if "depth-adjusted" in row["preset"] else "gives no intervals"
    return {
        "given_depth": number(row.get("pcc_given_depth"), _NOT_RECORDED),
        "of_ceiling": percent(row.get("of_ceiling"), "no noise ceiling"),
        "skill": number(row.get("skill"), _WHOLE if whole else "kriging was not run", digits=3, signed=True),
        "coverage": percent(row.get("coverage90"), no_intervals, digits=1),
        "undefined": percent(row.get("pcc_undefined"), digits=1),
    }


def _fit_cells(fit: Mapping[str, Any], encoder: str) -> dict[str, Cell]:
    """Return the cells of costs and training."""
    cells = {
        "fit_s": number(fit["fit_wall_s"], _NOT_RECORDED, digits=1),
        "cpu_s": number(fit["fit_cpu_s"], _NOT_RECORDED, digits=1),
    }
    if fit["is_network"] is None:
        names = ("epochs", "initialisation", "windows_um", "device")
        return (
            cells | dict.fromkeys(names, absent(_NOT_RECORDED)) | {"encoder": words(encoder, "no features")}
        )
    epochs = epochs_text(fit["epochs"], fit["best_epoch"])
    no_epochs = _NOT_RECORDED if fit["is_network"] else "no network"
    shown = Cell(epochs, float(np.mean(fit["epochs"]))) if epochs else None
    own = "own network" if fit["windows_um"] else "reads no image"
    return cells | {
        "epochs": shown or absent(no_epochs),
        "initialisation": initialisation(fit["initialisation"], is_network=fit["is_network"]),
        "encoder": words(encoder, own),
        "windows_um": words(fit["windows_um"], "reads no image"),
        "device": words(fit["device"], _NOT_RECORDED),
    }
