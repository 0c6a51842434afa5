"""``prediction.h5ad``: what was predicted beside what was measured, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.sealed_files import seal
from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.io.hdf5.anndata_file import clear_layout, clear_reading, created
from histosge.io.hdf5.columns import Columns
from histosge.io.hdf5.rows import Rows
from histosge.io.layout import prediction_table as layout
from histosge.models.base import Block
from histosge.prediction import count_allocation
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.prediction.total_counts import COLUMN
from histosge.section.locations import Locations
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import is_own_h5ad

__all__ = ["BACKGROUND_COUNTS", "ENTRIES", "provenance", "read", "stream", "write"]

# of a block, where a prediction in memory is cut into blocks
_BLOCK_BYTES = 1 << 22
# the positions that cellxgene shows: it takes names that begin with X_, and y upwards
_UPWARDS = "X_spatial"
_ABOUT_UPWARDS = "obsm['spatial'] with y upwards, as cellxgene shows it; not for computations"
# layer of the counts that add up to the measured ones
_COUNTS = "conserved"
#: key in ``uns`` of those between the cells of each spot, spots × genes
BACKGROUND_COUNTS = "conserved_background"


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write a prediction as ``prediction.h5ad`` and return its path; see :func:`stream` for its parts.

    A factored prediction is multiplied out block by block. With ``options.conserve`` the counts that add up to the
    measured ones of each spot are in ``layers["conserved"]``; spots without a location are left out of them. At cells
    with outlines, ``uns["conserved_background"]`` (spots × genes) has those between the cells of each spot.

    Raises
    ------
    UsageError
        For genes that were not predicted, or a path that cannot be written.
    DataError
        For genes that the section does not have, values that are not finite, a full disk.
    """
    options = options or WriteOptions()
    prediction = options.select(prediction)
    with atomic_path(path) as draft:
        stream(
            draft,
            section,
            locations=prediction.locations,
            genes=prediction.genes,
            blocks=_blocks(prediction),
            provenance=prediction.provenance,
            has_sd=_has_sd(prediction),
            factored=prediction if isinstance(prediction, FactoredPrediction) else None,
        )
        if options.conserve is not None:
            _append_counts(draft, section, prediction, options)
    return path


def stream(
    path: Path,
    section: Section,
    locations: Locations,
    genes: Array,
    blocks: Iterable[Block],
    *,
    provenance: Mapping[str, Any],
    has_sd: bool | None = None,
    factored: FactoredPrediction | None = None,
) -> Path:
    """Write blocks of predictions as they come, in memory bounded by one block, and return the path.

    ``X`` holds log1p(CP10k) predictions, float32; ``layers["measured"]`` what was measured, ``layers["counts"]`` its
    raw counts, in rows that were measured only; ``layers["sd"]`` the standard deviations where known;
    ``obsm["spatial"]`` pixels of the full-resolution image, ``obsm["spatial_um"]`` µm and ``obsm["X_spatial"]`` pixels
    with y upwards, for cellxgene; ``obs`` the parent spot of each location; ``uns["spatial"]`` the image, for Scanpy
    and Squidpy; ``uns["histosge"]`` the provenance. The file appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    section
        What the model was fitted to.
    locations, genes
        Rows and columns.
    blocks
        (rows, means, standard deviations or ``None``), as :meth:`~histosge.models.base.Predictor.blocks` yields
        them; in any order, each row once. Blocks in the order of the rows need no further disk space.
    provenance
        What made it; plain values.
    has_sd
        Whether the blocks hold standard deviations; ``None`` takes what the first one shows.
    factored
        The same as factors, of these genes among others: accuracy and attribution of each gene are columns of ``var``,
        total counts one of ``obs``.

    Raises
    ------
    DataError
        For genes that the section does not have, blocks that miss or repeat rows or are not finite, a full disk.
    UsageError
        For a path that cannot be written.
    """
    has_sd, blocks = _peek(blocks, has_sd)
    shape = (len(locations), len(genes))
    parts = _parts(section, locations, np.asarray(genes, dtype=str), provenance, factored)
    with atomic_path(path) as draft, ExitStack() as stack:
        file, sink = stack.enter_context(created(draft, parts))
        # rows that arrive out of order wait in a file of the same temporary folder
        matrices = []
        for name in ("X", "layers/sd")[: 1 + has_sd]:
            waiting = draft.parent / f"{name.split('/')[-1]}.waiting"
            matrices.append(stack.enter_context(Rows(file, name, shape, waiting=waiting)))
        for rows, *values in blocks:
            for matrix, part in zip(matrices, _matrices(values, has_sd), strict=True):
                matrix.put(rows, part)
            # a full disk ends the prediction at this block, not after the last one
            sink.check()
        for matrix in matrices:
            matrix.finish()
    return path


def read(path: Path) -> Prediction:
    """Return the prediction that :func:`write` or :func:`stream` left at ``path``.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is truncated, or was not written by histosge.
    """
    from anndata import read_h5ad

    with clear_reading(path):
        adata = read_h5ad(path)
    with clear_layout(path):
        about = adata.uns["histosge"]
        sd = adata.layers.get("sd")
        return Prediction(
            layout.locations(adata.obs, adata.obsm["spatial_um"], about["layout"]),
            adata.var_names.to_numpy(dtype=str),
            mean=_dense(adata.X),
            sd=None if sd is None else _dense(sd),
            provenance=layout.made_by(about),
        )


def provenance(path: Path) -> dict[str, Any]:
    """Return what made the file at ``path``, exactly as it was given to the writer.

    Raises
    ------
    UsageError
        When there is no such file.
    DataError
        When it is truncated, or was not written by histosge.
    """
    import h5py

    with clear_reading(path), h5py.File(path, "r") as file:
        held = file.get("uns/histosge/provenance_json")
        text = None if held is None else held[()].decode()
    with clear_layout(path):
        if text is None:
            raise KeyError("uns['histosge']")
        return dict(json.loads(text))


def _append_counts(path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions) -> None:
    """Write conserved counts into a layer of the file, gene by gene, and those between the cells of each spot."""
    import h5py

    kind, cells = options.conserve or "real", prediction.locations.cells
    outlined = cells is not None and cells.outlines is not None
    n, genes = len(prediction), len(prediction.genes)
    blocks = count_allocation.blocks(
        prediction,
        section,
        kind=kind,
        seed=options.seed,
        partial=True,
        background=options.background if outlined else None,
    )
    dtype = "f8" if kind == "real" else "i4"
    # gene by gene, so that neither counts nor predictions of all genes are in memory
    with h5py.File(path, "r+") as file:
        parts = [Columns(file["layers"], _COUNTS, (n, genes), dtype)]
        if outlined:
            parts.append(Columns(file["uns"], BACKGROUND_COUNTS, (len(section), genes), dtype))
        for block in blocks:
            for columns, rows in zip(parts, (block[:n], block[n:]), strict=False):
                columns.append(rows)
        for columns in parts:
            columns.finish()
    # writing removed the checksum of the file without the layer
    seal(path)


def _peek(blocks: Iterable[Block], has_sd: bool | None) -> tuple[bool, Iterator[Block]]:
    """Return whether there are standard deviations, by default those of the first block, and all blocks."""
    blocks = iter(blocks)
    if has_sd is not None:
        return has_sd, blocks
    first = next(blocks, None)
    if first is None:
        return False, blocks
    return first[2] is not None, chain([first], blocks)


def _matrices(values: list[Any], has_sd: bool) -> list[Array]:
    """Return means and, where there are any, standard deviations of a block."""
    mean, sd = values
    if (sd is not None) != has_sd:
        raise DataError("Expected standard deviations in all blocks or in none, got them in some.")
    return [mean, sd] if has_sd else [mean]


def _parts(
    section: Section,
    locations: Locations,
    genes: Array,
    provenance: Mapping[str, Any],
    factored: FactoredPrediction | None,
) -> dict[str, Any]:
    """Return all of the file but ``X`` and ``layers["sd"]``."""
    about = layout.describe(section, locations, provenance)
    about["layout"]["about"][f"obsm_{_UPWARDS}"] = _ABOUT_UPWARDS
    parts = layout.parts(section, locations, about)
    # single precision is that of a screen
    parts["obsm"][_UPWARDS] = (parts["obsm"]["spatial"] * [1, -1]).astype(np.float32)
    if factored is not None and factored.total_counts is not None:
        parts["obs"][COLUMN] = factored.total_counts
    return parts | {
        "var": layout.var(section, genes, None if factored is None else factored.basis),
        "layers": layout.layers(section, locations, genes),
    }


def _has_sd(prediction: AnyPrediction) -> bool:
    sd = prediction.score_sd if isinstance(prediction, FactoredPrediction) else prediction.sd
    return sd is not None


def _blocks(prediction: AnyPrediction) -> Iterator[Block]:
    """Yield a prediction in blocks of some megabytes; standard deviations are those of a new measurement."""
    if isinstance(prediction, FactoredPrediction):
        yield from prediction.blocks(observation=True)
        return
    n, g = prediction.mean.shape
    # a block has at least one row, however many genes there are
    step = max(1, _BLOCK_BYTES // (4 * max(g, 1)))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        sd = None if prediction.sd is None else prediction.sd[rows]
        yield rows, prediction.mean[rows], sd


def _dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float32)


ENTRIES = (
    Writer(
        name="h5ad",
        summary="AnnData of predicted and measured values, standard deviations and the image: Scanpy, Squidpy",
        filename="prediction.h5ad",
        kind="file",
        streams=True,
        write=write,
        recognises=is_own_h5ad,
        holds_counts=True,
    ),
)
