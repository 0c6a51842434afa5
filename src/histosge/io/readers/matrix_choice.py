"""Which count matrix of a Space Ranger folder is read: the filtered or the raw one, of HDF5 or of Matrix Market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import UsageError

from .file_names import find, matches
from .tenx_matrix import Matrix, read_matrix

__all__ = ["MATRICES", "RAW_MATRICES", "chosen_matrix", "suffixed"]

MATRICES = ("filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix")
RAW_MATRICES = ("raw_feature_bc_matrix.h5", "raw_feature_bc_matrix")


def chosen_matrix(folder: Path) -> tuple[Matrix, tuple[Message, ...], bool | None]:
    """Read the filtered matrix, or the raw one where there is none.

    Returns
    -------
    The matrix, messages, and whether it is filtered; ``None`` where no name says so.

    Raises
    ------
    UsageError
        When there is none, or there are two that differ.
    """
    for names, filtered in ((MATRICES, True), (RAW_MATRICES, False)):
        for path in (folder / name for name in names):
            if path.exists():
                message = Message("info", f"No filtered matrix in '{folder.name}'; the raw one is used.")
                matrix = read_matrix(path)
                _refuse_other_matrix(matrix, path, folder / names[1])
                return matrix, () if filtered else (message,), filtered
    for names, filtered in ((MATRICES, True), (RAW_MATRICES, False)):
        prefixed = find(folder, *names)
        if prefixed is not None:
            return read_matrix(prefixed), (), filtered
    barcodes = find(folder, "barcodes.tsv")
    if find(folder, "matrix.mtx") is not None:
        # GSM1_A_raw_feature_bc_matrix_barcodes.tsv.gz
        kinds = [word for word in ("filtered", "raw") if barcodes is not None and word in barcodes.name]
        return read_matrix(folder), (), kinds == ["filtered"] if len(kinds) == 1 else None
    raise UsageError(
        f"Expected {' or '.join(MATRICES)} in '{folder}', found none. Copy one of them from the folder outs of Space "
        f"Ranger into it; {RAW_MATRICES[0]} will do too."
    )


def _refuse_other_matrix(matrix: Matrix, path: Path, other: Path) -> None:
    """Refuse an HDF5 file and a folder of the same name that hold different barcodes or counts."""
    if path == other or not matches(other, "barcodes.tsv"):
        return
    beside = read_matrix(other)
    rows = positions(matrix.barcodes, beside.barcodes)
    differ = ""
    if len(rows) != len(beside.barcodes) or (rows < 0).any():
        differ = "barcodes"
    elif not np.array_equal(_depths(matrix), _depths(beside)[rows]):
        differ = "counts of the same barcodes"
    if differ:
        raise UsageError(
            f"'{path.name}' and the folder '{other.name}' beside it hold different {differ}. Keep the matrix of this "
            "section."
        )


def _depths(matrix: Matrix) -> Array:
    return np.asarray(matrix.counts.sum(axis=1, dtype=np.float64)).ravel()


def suffixed(matrix: Matrix, positions: Any) -> Matrix:
    """Return the matrix with or without the barcode suffix ``-1``, as the positions have it; some tools remove it."""
    if not len(matrix.barcodes) or not len(positions):
        return matrix
    in_matrix, in_positions = matrix.barcodes[0].endswith("-1"), str(positions[0]).endswith("-1")
    if in_positions and not in_matrix:
        return replace(matrix, barcodes=np.char.add(matrix.barcodes, "-1"))
    if in_matrix and not in_positions:
        return replace(matrix, barcodes=np.array([name.removesuffix("-1") for name in matrix.barcodes]))
    return matrix
