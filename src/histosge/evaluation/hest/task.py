"""Tasks of HEST-Benchmark on disk: samples, folds and genes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import DataError, UsageError
from histosge.io.hdf5.anndata_file import NO_H5AD, no_damage, read_anndata
from histosge.io.readers.anndata_counts import counts_of
from histosge.section.expression import depth

from .patch_column import PatchColumn

__all__ = ["PATCH_PX", "PATCH_UM", "Fold", "Sample", "Task", "find_tasks", "read_sample"]

#: patches are 112 µm wide, at 0.5 µm per pixel
PATCH_UM, PATCH_PX = 112.0, 224
_GENES, _SPLITS = "var_50genes.json", "splits"
_COLUMNS = ("sample_id", "patches_path", "expr_path")
_FOLD = re.compile(r"train_(\d+)\.csv")


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
            When a file is missing, names no genes or samples, or has a sample among those to fit and to score.
        """
        samples: dict[str, SampleFiles] = {}
        folds = []
        for number, path in _folds(folder):
            train = _samples(folder, path)
            test = _samples(folder, path.with_name(f"test_{number}.csv"))
            both = sorted({item.name for item in train} & {item.name for item in test})
            if both:
                raise DataError(
                    f"Sample '{both[0]}' is among those to fit and those to score of fold {number} in '{folder}'. "
                    "Correct the files of `splits`."
                )
            samples |= {item.name: item for item in (*train, *test)}
            folds.append(Fold(number, tuple(item.name for item in train), tuple(item.name for item in test)))
        return cls(folder.name, _genes(folder / _GENES), tuple(folds), samples)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Spots of a sample that have a patch: row i of everything is patch i.

    Parameters
    ----------
    name
        Of the sample.
    barcodes
        Of its spots.
    counts
        Raw counts of the genes of the task.
    depth
        Raw counts over all genes.
    xy_um
        Centres of the patches; ``None`` where the file does not say how wide a pixel is.
    patches
        Their pixels.
    """

    name: str
    barcodes: Array
    counts: Float[np.ndarray, "n g"]
    depth: Float[np.ndarray, " n"]
    xy_um: Float[np.ndarray, "n 2"] | None
    patches: PatchColumn

    def __len__(self) -> int:
        return len(self.barcodes)

    @property
    def targets(self) -> Float[np.ndarray, "n g"]:
        """The expression that the benchmark scores: log1p of raw counts, without a size factor."""
        return np.asarray(np.log1p(self.counts))


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


def read_sample(files: SampleFiles, genes: tuple[str, ...]) -> Sample:
    """Read the counts of a sample's spots in the order of its patches.

    Raises
    ------
    DataError
        When a file is missing or damaged, a patch has no counts, a gene is missing, or barcodes repeat.
    """
    for path in (files.patches, files.counts):
        if not path.is_file():
            raise DataError(f"Sample '{files.name}' needs '{path}', which is missing. Copy the task again.")
    patches, barcodes, corners, mpp = _patches(files.patches)
    adata = read_anndata(files.counts)
    with no_damage(files.counts, NO_H5AD):
        stored = counts_of(adata)
        spots = adata.obs_names.to_numpy(dtype=str)
    rows = _rows_of(barcodes, spots, files)
    columns = _rows_of(np.array(genes), stored.genes, files)
    xy_um = None if mpp is None else (corners + 0.5 * PATCH_UM / mpp) * mpp
    counts = stored.counts[rows]
    return Sample(
        files.name,
        barcodes,
        counts[:, columns].toarray(),
        depth(counts),
        xy_um=xy_um,
        patches=patches,
    )


def _patches(path: Path) -> tuple[PatchColumn, Array, Float[np.ndarray, "n 2"], float | None]:
    """Return the patches of a file, their barcodes and corners, and µm per pixel of the slide."""
    import h5py

    with (
        no_damage(path, "is damaged or no HDF5 file of patches ({reason}). Copy it again."),
        h5py.File(path) as file,
    ):
        missing = [name for name in ("img", "barcode", "coords") if name not in file]
        if missing:
            raise DataError(f"Expected `{missing[0]}` in '{path}', got {', '.join(sorted(file))}.")
        shape, corners = file["img"].shape, np.asarray(file["coords"], dtype=np.float64)
        barcodes = np.array([_text(value) for value in np.ravel(file["barcode"][()])], dtype=str)
        attributes = {**dict(file["img"].attrs), **dict(file["coords"].attrs)}
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not shape[0]:
        raise DataError(f"Expected square RGB patches in '{path}', got an array of shape {shape}.")
    if corners.shape != (shape[0], 2) or len(barcodes) != shape[0]:
        raise DataError(
            f"Expected a corner and a barcode for each of {shape[0]} patches in '{path}', got {corners.shape} and "
            f"{len(barcodes)}."
        )
    return PatchColumn.of(path, shape), barcodes, corners, _mpp(attributes)


def _mpp(attributes: Mapping[str, Any]) -> float | None:
    """Return µm per pixel of the slide, where the file says it or how many of its pixels a patch is wide."""
    if "pixel_size" in attributes:
        return float(np.ravel(attributes["pixel_size"])[0])
    if "patch_size_src" in attributes:
        return PATCH_UM / float(np.ravel(attributes["patch_size_src"])[0])
    return None


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _rows_of(names: Array, all_names: Array, files: SampleFiles) -> Array:
    """Return the position of each name.

    Raises
    ------
    DataError
        When one is missing, or not unique.
    """
    known = {name: row for row, name in enumerate(all_names.tolist())}
    missing = [name for name in names.tolist() if name not in known]
    if missing:
        raise DataError(
            f"'{missing[0]}' ({len(missing)} of {len(names)}) is not in '{files.counts}'. Patches and counts are of "
            "different samples, or genes of another species; copy the task again."
        )
    if len(known) < len(all_names) or len(set(names.tolist())) < len(names):
        raise DataError(f"Expected unique names in '{files.counts}' and '{files.patches}', some repeat.")
    return np.array([known[name] for name in names.tolist()], dtype=np.intp)


def _folds(folder: Path) -> list[tuple[int, Path]]:
    paths = [(_FOLD.fullmatch(path.name), path) for path in (folder / _SPLITS).glob("train_*.csv")]
    folds = sorted((int(match.group(1)), path) for match, path in paths if match)
    if not folds:
        raise DataError(f"Expected files train_0.csv and test_0.csv in '{folder / _SPLITS}', found none.")
    return folds


def _samples(folder: Path, path: Path) -> list[SampleFiles]:
    """Return the samples of a file of a split."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"'{path}' cannot be read ({error}). Copy the task again.") from error
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        raise DataError(f"Expected the columns {', '.join(_COLUMNS)} and a sample a line in '{path}'.")
    return [
        SampleFiles(row["sample_id"], folder / row["patches_path"], folder / row["expr_path"]) for row in rows
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
