"""Tasks of HEST-Benchmark on disk: samples, folds and genes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from histosge.errors import DataError, UsageError

__all__ = ["PATCH_PX", "PATCH_UM", "Fold", "SampleFiles", "Task", "find_tasks"]

#: patches are 112 µm wide, at 0.5 µm per pixel
PATCH_UM, PATCH_PX = 112.0, 224
_GENES, _SPLITS = "var_50genes.json", "splits"
_SIDES = ("train", "test")
_COLUMNS = ("sample_id", "patches_path", "expr_path")
_FOLD = re.compile(r"(train|test)_(\d+)\.csv")


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Where the patches and the counts of a sample are."""

    name: str
    patches: Path
    counts: Path


@dataclass(frozen=True, slots=True)
class Fold:
    """Samples to fit and samples to score, by name.

    Parameters
    ----------
    number
        As in the names of its files.
    train, test
        Names of the samples; none is in both.
    """

    number: int
    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One task: ``<folder>/patches/*.h5``, ``adata/*.h5ad``, ``splits/*.csv`` and ``var_50genes.json``.

    Parameters
    ----------
    name
        Of its folder.
    genes
        To predict.
    folds
        In the order of their numbers.
    samples
        Files by the name of the sample.
    """

    name: str
    genes: tuple[str, ...]
    folds: tuple[Fold, ...]
    samples: Mapping[str, SampleFiles]

    @classmethod
    def read(cls, folder: Path) -> Task:
        """Read what a task consists of; patches and counts are read later.

        Raises
        ------
        DataError
            When a file is missing, names no genes or samples, or has a sample twice.
        """
        samples: dict[str, SampleFiles] = {}
        folds = []
        for number in _folds(folder):
            train, test = (_samples(folder, folder / _SPLITS / f"{side}_{number}.csv") for side in _SIDES)
            _refuse_both(train, test, f"fold {number} in '{folder}'")
            for item in (*train, *test):
                if samples.setdefault(item.name, item) != item:
                    raise DataError(
                        f"Sample '{item.name}' has different files in different folds of '{folder}'. Correct the files "
                        f"of `{_SPLITS}`."
                    )
            folds.append(Fold(number, tuple(item.name for item in train), tuple(item.name for item in test)))
        return cls(folder.name, _genes(folder / _GENES), tuple(folds), samples)


def find_tasks(folder: Path, names: tuple[str, ...] = ()) -> list[Task]:
    """Return the tasks in a folder, or the one that the folder is.

    Parameters
    ----------
    folder
        ``<root>`` or ``<root>/<TASK>``.
    names
        Only these tasks; empty: all.

    Raises
    ------
    UsageError
        Where there is no task, or none of that name.
    DataError
        When a task is incomplete.
    """
    _refuse_without_genes(folder)
    folders = [folder] if (folder / _GENES).is_file() else sorted(folder.glob(f"*/{_GENES}"))
    by_name = {path.name: path for path in (path if path.is_dir() else path.parent for path in folders)}
    if not by_name:
        raise UsageError(
            f"Expected a task of HEST-Benchmark in '{folder}': TASK/{_GENES}, TASK/{_SPLITS}, TASK/patches and "
            "TASK/adata; found none. Give the folder of the data set `MahmoodLab/hest-bench`, or one of its tasks."
        )
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        raise UsageError(f"There is no task '{unknown[0]}' in '{folder}', only {', '.join(by_name)}.")
    return [Task.read(path) for name, path in by_name.items() if not names or name in names]


def _refuse_without_genes(folder: Path) -> None:
    """Refuse folders that are tasks but for their genes: without them the mean over tasks is of fewer tasks.

    Raises
    ------
    DataError
        For the first one.
    """
    for splits in sorted([*folder.glob(f"*/{_SPLITS}/"), *folder.glob(f"{_SPLITS}/")]):
        if splits.is_dir() and any(splits.glob("train_*.csv")) and not (splits.parent / _GENES).is_file():
            raise DataError(
                f"'{splits.parent}' has `{_SPLITS}` and lacks '{_GENES}', the genes to predict. Copy the task again."
            )


def _folds(folder: Path) -> list[int]:
    """Return the numbers of the folds, each of which has its two files.

    Raises
    ------
    DataError
        When there is none, or a file has no counterpart.
    """
    names = [_FOLD.fullmatch(path.name) for path in (folder / _SPLITS).glob("*.csv")]
    train, test = ({int(match[2]) for match in names if match and match[1] == side} for side in _SIDES)
    if not train | test:
        raise DataError(f"Expected files train_0.csv and test_0.csv in '{folder / _SPLITS}', got none.")
    if train != test:
        number = min(train ^ test)
        raise DataError(
            f"Fold {number} in '{folder / _SPLITS}' has one file of train_{number}.csv and test_{number}.csv, and "
            "needs both. Copy the task again."
        )
    return sorted(train)


def _refuse_both(train: Sequence[SampleFiles], test: Sequence[SampleFiles], where: str) -> None:
    """Refuse a sample that is fitted and scored, by its name or under another name.

    Raises
    ------
    DataError
        For the first one.
    """
    fitted = {part for item in train for part in (item.name, item.patches, item.counts)}
    for item in test:
        if fitted & {item.name, item.patches, item.counts}:
            raise DataError(
                f"Sample '{item.name}' is among those to fit and those to score of {where}. Correct the files of "
                f"`{_SPLITS}`."
            )


def _samples(folder: Path, path: Path) -> list[SampleFiles]:
    """Return the samples of a file of a split."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"'{path}' cannot be read ({error}). Copy the task again.") from error
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        raise DataError(
            f"Expected the columns {', '.join(_COLUMNS)} and a sample a line in '{path}'. Copy the task again."
        )
    for row in rows:
        if not all(row[column] for column in _COLUMNS):
            raise DataError(f"A line of '{path}' has no value of {', '.join(_COLUMNS)}. Copy the task again.")
    names = [row["sample_id"] for row in rows]
    if len(set(names)) < len(names):
        raise DataError(f"A sample is in '{path}' twice. Correct the files of `{_SPLITS}`.")
    return [
        SampleFiles(name, folder / row["patches_path"], folder / row["expr_path"])
        for name, row in zip(names, rows, strict=True)
    ]


def _genes(path: Path) -> tuple[str, ...]:
    try:
        genes = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])["genes"]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise DataError(
            f"Expected {{\"genes\": [...]}} in '{path}' ({error}). Copy the task again."
        ) from error
    if not genes or len(set(genes)) < len(genes):
        raise DataError(f"Expected different names of genes in '{path}', got {len(genes)}.")
    return tuple(genes)
