"""A sample of a task: its patches, and the counts of the spots that they are of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.io.hdf5.anndata_file import NO_H5AD, no_damage, read_anndata
from histosge.io.readers.anndata_counts import counts_of
from histosge.section.expression import depth

from .patch_column import PatchColumn
from .positions import Positions, positions_of
from .task import PATCH_PX, PATCH_UM, SampleFiles

__all__ = ["Sample", "read_sample"]


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
    positions
        Centres of the patches in µm, or why there are none.
    patches
        Their pixels.
    messages
        What was noticed.
    """

    name: str
    barcodes: Array
    counts: Float[np.ndarray, "n g"]
    depth: Float[np.ndarray, " n"]
    positions: Positions
    patches: PatchColumn
    messages: tuple[Message, ...] = ()

    def __len__(self) -> int:
        return len(self.barcodes)

    @property
    def targets(self) -> Float[np.ndarray, "n g"]:
        """The expression that the benchmark scores: log1p of raw counts, without a size factor."""
        return np.asarray(np.log1p(self.counts))


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
    patches = _Patches.read(files)
    adata = read_anndata(files.counts)
    with no_damage(files.counts, NO_H5AD):
        stored = counts_of(adata)
        spots = adata.obs_names.to_numpy(dtype=str)
    rows = _rows_of(patches.barcodes, spots, f"patch in '{files.patches}'", f"spots of '{files.counts}'")
    columns = _rows_of(np.array(genes), stored.genes, "gene of the task", f"genes of '{files.counts}'")
    spots_px = adata.obsm.get("spatial")
    positions = positions_of(
        patches.corners_px, patches.attributes, spots_px[rows] if isinstance(spots_px, np.ndarray) else None
    )
    counts = stored.counts[rows]
    return Sample(
        files.name,
        patches.barcodes,
        counts[:, columns].toarray(),
        depth(counts),
        positions=positions,
        patches=patches.column,
        messages=tuple(
            Message("warning", f"Sample '{files.name}': {message.text}")
            for message in stored.messages
            if message.level == "warning"
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Patches:
    """What a file of patches holds: the pixels, a barcode and a corner of each, and attributes of its arrays."""

    column: PatchColumn
    barcodes: Array
    corners_px: Float[np.ndarray, "n 2"]
    attributes: dict[str, object]

    @classmethod
    def read(cls, files: SampleFiles) -> _Patches:
        """Read a file but for its pixels.

        Raises
        ------
        DataError
            For a damaged file, other arrays than the benchmark has, and arrays that disagree.
        """
        import h5py

        path = files.patches
        with (
            no_damage(path, "is damaged or no HDF5 file of patches ({reason}). Copy it again."),
            h5py.File(path) as file,
        ):
            missing = [name for name in ("img", "barcode", "coords") if name not in file]
            if missing:
                raise DataError(
                    f"Expected `{missing[0]}` in '{path}', got {', '.join(sorted(file)) or 'nothing'}. Copy it again."
                )
            shape, kind = file["img"].shape, file["img"].dtype
            corners_px = np.asarray(file["coords"], dtype=np.float64)
            barcodes = np.array([_text(value) for value in np.ravel(file["barcode"][()])], dtype=str)
            attributes = {**dict(file["img"].attrs), **dict(file["coords"].attrs)}
        number = shape[0] if shape else 0
        if not number or shape[1:] != (PATCH_PX, PATCH_PX, 3) or kind != np.uint8:
            raise DataError(
                f"Expected RGB patches of {PATCH_PX} × {PATCH_PX} pixels of 8 bits ({PATCH_UM:g} µm) in '{path}', got "
                f"an array of shape {shape} and type {kind}."
            )
        if corners_px.shape != (number, 2) or len(barcodes) != number or not np.isfinite(corners_px).all():
            raise DataError(
                f"Expected a corner and a barcode for each of {number} patches in '{path}', got {corners_px.shape} "
                f"and {len(barcodes)}. Copy it again."
            )
        return cls(PatchColumn.of(path, shape), barcodes, corners_px, attributes)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _rows_of(names: Array, all_names: Array, what: str, among: str) -> Array:
    """Return the position of each name.

    Raises
    ------
    DataError
        When one is missing, or not unique.
    """
    known = {name: row for row, name in enumerate(all_names.tolist())}
    asked = names.tolist()
    missing = [name for name in asked if name not in known]
    if missing:
        raise DataError(
            f"Each {what} must be among the {len(known)} {among}; {len(missing)} of {len(asked)} are not, such as "
            f"'{missing[0]}'. Patches and counts are of different samples, or genes of another task; copy the task "
            "again."
        )
    # others may repeat, as names of genes do
    several = set(asked) & _repeated(all_names) | _repeated(names)
    if several:
        raise DataError(f"Each {what} must be once among the {among}; '{min(several)}' repeats.")
    return np.array([known[name] for name in asked], dtype=np.intp)


def _repeated(names: Array) -> set[str]:
    unique, counts = np.unique(names, return_counts=True)
    return {str(name) for name in unique[counts > 1]}
