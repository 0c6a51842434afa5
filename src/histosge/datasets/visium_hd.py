"""A Visium HD capture area of a synthetic tissue, written in blocks with the layout of Space Ranger 3."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError

from .hd_image import HDImage
from .hd_tissue import HDTissue

__all__ = ["BINS_UM", "HDCapture", "write_visium_hd"]

#: widths of the bins that Space Ranger writes
BINS_UM = (2, 8, 16)
# squares of 2 µm along the side of a capture area of 6.5 mm (Space Ranger)
_SQUARES, _SQUARES_MM = 3350, 6.5
# rows and columns of the array are turned a little against the image, as they are on a real slide
_TURN = np.deg2rad(0.75)
# rows of 16 µm whose molecules are drawn at a time
_BAND = 8
# spread of the molecules of equal bins, log scale
_DEPTH_SD = 0.4
_HIRES_PX, _LOWRES_PX = 6000, 600
_MATRIX, _IMAGE, _CREATOR = "filtered_feature_bc_matrix.h5", "tissue_image.tif", "histosge"
# chunk of Space Ranger's matrices
_CHUNK = 80_000

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class HDCapture:
    """A capture area in the middle of a slide of synthetic tissue.

    Parameters
    ----------
    side_mm
        Side of the capture area; 6.5 is that of a whole one.
    margin_mm
        Of the image around it. Tissue nearly fills the image, so that with a wide margin much of it lies outside.
    genes
        How many.
    molecules
        Mean of a bin of 8 µm. Sections of 10x Genomics have medians of some 150 to 250.
    seed
        Another seed, another tissue.

    Raises
    ------
    UsageError
        For sizes or molecules that are not positive.

    Examples
    --------
    >>> capture = HDCapture(side_mm=0.4, genes=60)
    >>> capture.squares, capture.tissue.truth(capture.centres_um(16)[:2], 18.0).shape
    (208, (2, 60))
    """

    side_mm: float = _SQUARES_MM
    margin_mm: float = 0.1
    genes: int = 18_000
    molecules: float = 200.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0.1 <= self.side_mm <= 50 and 0 <= self.margin_mm <= 50 and 0 < self.molecules <= 1e5):
            raise UsageError(
                "Expected a side of 0.1 to 50 mm, a margin of 0 to 50 mm and up to 100 000 molecules a bin, got "
                f"{self.side_mm:g}, {self.margin_mm:g} and {self.molecules:g}."
            )

    @cached_property
    def tissue(self) -> HDTissue:
        """What is true; its frame is that of the image, µm."""
        size_um = 2.0 * self.squares + 2000 * self.margin_mm
        return HDTissue.draw(size_um, genes=self.genes, seed=self.seed)

    @property
    def squares(self) -> int:
        """How many squares of 2 µm a side has, whole bins of 16 µm but for the whole capture area."""
        squares = round(self.side_mm * _SQUARES / _SQUARES_MM)
        return squares if squares == _SQUARES else -(-squares // 8) * 8

    def bins(self, bin_um: int) -> int:
        """Return how many bins a side has."""
        return -(-self.squares // (bin_um // 2))

    def positions_um(self, row: Array, column: Array, bin_um: int) -> Array:
        """Return the middles (x, y) of bins in the frame of the image."""
        from_middle = (np.column_stack([column, row]) + 0.5) * bin_um - self.squares
        turn = np.array([[np.cos(_TURN), np.sin(_TURN)], [-np.sin(_TURN), np.cos(_TURN)]])
        return np.asarray(from_middle @ turn + self.tissue.size_um / 2)

    def centres_um(self, bin_um: int) -> Array:
        """Return the middles (x, y) of all bins, row by row."""
        row, column = np.divmod(np.arange(self.bins(bin_um) ** 2), self.bins(bin_um))
        return self.positions_um(row, column, bin_um)

    @cached_property
    def in_tissue(self) -> Array:
        """Which bins of 8 µm are on tissue: rows × columns."""
        side = self.bins(8)
        return np.asarray(self.tissue.inside(self.centres_um(8)).reshape(side, side))

    def on_tissue(self, row: Array, column: Array, bin_um: int) -> Array:
        """Tell which bins hold tissue: a part of a bin is enough."""
        if bin_um <= 8:
            return np.asarray(self.in_tissue[row * bin_um // 8, column * bin_um // 8])
        odd = len(self.in_tissue) % 2
        padded = np.pad(self.in_tissue, ((0, odd), (0, odd)))
        joined: Array = np.asarray(padded.reshape(len(padded) // 2, 2, -1, 2).any(axis=(1, 3)))
        return np.asarray(joined[row, column])


def write_visium_hd(
    folder: str | Path,
    capture: HDCapture = HDCapture(),
    *,
    mpp: float = 0.5,
    progress: Progress | None = None,
) -> Path:
    """Write ``outs/`` as Space Ranger does and ``tissue_image.tif``, the image that its pixels refer to.

    Written are the matrices, positions, scale factors and small images of bins of 2, 8 and 16 µm, not Space Ranger's
    analyses. Memory is bounded: molecules are drawn band by band, the image strip by strip. The same capture gives the
    same folder.

    Parameters
    ----------
    folder
        Receives them.
    capture
        How large, how deep, which seed.
    mpp
        µm per pixel of the image.
    progress
        Called with (done, total, text).

    Returns
    -------
    The folder.

    Raises
    ------
    UsageError
        For a resolution outside 0.1 to 10, a path that cannot be written, or a folder with other content.
    """
    if not 0.1 <= mpp <= 10:
        raise UsageError(f"Expected an image of 0.1 to 10 µm per pixel, got {mpp:g}.")
    with atomic_path(Path(folder), own=_is_own) as draft:
        outs = draft / "outs"
        folders = {bin_um: outs / "binned_outputs" / f"square_{bin_um:03d}um" for bin_um in BINS_UM}
        for bins in folders.values():
            (bins / "spatial").mkdir(parents=True)
        _write_matrices(capture, folders, progress or (lambda *_: None))
        factors = _write_images(capture, draft, mpp)
        for bin_um, bins in folders.items():
            _write_positions(capture, bins / "spatial" / "tissue_positions.parquet", bin_um, mpp)
            for name in ("tissue_hires_image.png", "tissue_lowres_image.png"):
                shutil.copyfile(outs / "spatial" / name, bins / "spatial" / name)
            of_bins = {
                "spot_diameter_fullres": bin_um / mpp,
                "bin_size_um": float(bin_um),
                "microns_per_pixel": mpp,
            }
            text = json.dumps({**of_bins, **factors})
            (bins / "spatial" / "scalefactors_json.json").write_text(text, encoding="utf-8")
    return Path(folder)


def _is_own(folder: Path) -> bool:
    """Return whether a folder was written by :func:`write_visium_hd`, and nothing was added."""
    import h5py

    if {entry.name for entry in folder.iterdir()} != {"outs", _IMAGE}:
        return False
    try:
        with h5py.File(folder / "outs/binned_outputs/square_008um" / _MATRIX) as file:
            return bool(file.attrs.get("creator") == _CREATOR)
    except OSError:
        return False


def _write_images(capture: HDCapture, draft: Path, mpp: float) -> dict[str, float]:
    """Write the image and its small copies; return the scale factors that all bins share."""
    from PIL import Image

    image = HDImage(capture.tissue, mpp)
    picture = Image.fromarray(image.write(draft / _IMAGE))
    spatial, factors = draft / "outs" / "spatial", {"fiducial_diameter_fullres": 330.0 / mpp}
    spatial.mkdir()
    for kind, longest_px in (("hires", _HIRES_PX), ("lowres", _LOWRES_PX)):
        side = min(longest_px, picture.width)
        small = picture.resize((side, side), Image.Resampling.BOX, reducing_gap=2.0)
        small.save(spatial / f"tissue_{kind}_image.png", compress_level=1)
        factors[f"tissue_{kind}_scalef"] = side / image.side_px
    factors["regist_target_img_scalef"] = min(1.0, _HIRES_PX / image.side_px)
    return factors


def _write_positions(capture: HDCapture, path: Path, bin_um: int, mpp: float) -> None:
    """Write all positions of the array, sorted by barcode, some rows of it at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = [("barcode", pa.string()), ("in_tissue", pa.uint8())]
    types += [("array_row", pa.uint32()), ("array_col", pa.uint32())]
    types += [("pxl_row_in_fullres", pa.float64()), ("pxl_col_in_fullres", pa.float64())]
    schema, side = pa.schema(types), capture.bins(bin_um)
    step = max(1_000_000 // side, 1)
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
        for top in range(0, side, step):
            rows = np.arange(top, min(top + step, side))
            row, column = (part.ravel() for part in np.meshgrid(rows, np.arange(side), indexing="ij"))
            xy_px = capture.positions_um(row, column, bin_um) / mpp
            names = pa.array(_barcodes(row, column, bin_um)).cast(pa.binary()).cast(pa.string())
            inside = capture.on_tissue(row, column, bin_um)
            columns: list[Any] = [
                names,
                inside.astype(np.uint8),
                row.astype(np.uint32),
                column.astype(np.uint32),
            ]
            writer.write_table(pa.table([*columns, xy_px[:, 1], xy_px[:, 0]], schema=schema))


def _barcodes(row: Array, column: Array, bin_um: int) -> Array:
    """Return the names of bins, bytes: ``s_008um_00012_00345-1``."""
    template = np.frombuffer(f"s_{bin_um:03d}um_00000_00000-1".encode(), dtype=np.uint8)
    letters = np.tile(template, (len(row), 1))
    for start, number in ((8, row), (14, column)):
        for digit in range(5):
            letters[:, start + digit] += (number // 10 ** (4 - digit) % 10).astype(np.uint8)
    return np.ascontiguousarray(letters).view(f"S{len(template)}").ravel()


def _write_matrices(capture: HDCapture, folders: dict[int, Path], progress: Progress) -> None:
    """Draw the molecules band by band and append the counts of bins of every width."""
    bands = list(range(0, capture.bins(16), _BAND))
    writers = {bin_um: _MatrixWriter(bins / _MATRIX, capture) for bin_um, bins in folders.items()}
    for done, top in enumerate(bands):
        row, column, gene = _molecules(capture, top)
        for bin_um, writer in writers.items():
            counts = _counted(row // (bin_um // 2), column // (bin_um // 2), gene, capture, bin_um)
            writer.append(*counts, bin_um)
        progress(done + 1, len(bands), "molecules")
    for writer in writers.values():
        writer.close()


def _molecules(capture: HDCapture, top: int) -> tuple[Array, Array, Array]:
    """Return row and column (squares of 2 µm) and gene of the molecules in a band from row ``top`` of 16 µm on."""
    rng = np.random.default_rng([capture.seed, 5, top])
    first, last = 2 * top, min(2 * (top + _BAND), capture.bins(8))
    row, column = np.nonzero(capture.in_tissue[first:last])
    row += first
    xy_um = capture.positions_um(row, column, 8)
    depth = capture.tissue.depth(xy_um) * rng.lognormal(-(_DEPTH_SD**2) / 2, _DEPTH_SD, len(row))
    drawn, gene = capture.tissue.molecules(xy_um, rng.poisson(capture.molecules * depth), rng)
    within = rng.integers(0, 16, len(drawn))
    row, column = 4 * row[drawn] + within // 4, 4 * column[drawn] + within % 4
    # the last bins of 8 µm of a whole capture area reach beyond it
    kept = (row < capture.squares) & (column < capture.squares)
    return row[kept], column[kept], gene[kept]


def _counted(
    row: Array, column: Array, gene: Array, capture: HDCapture, bin_um: int
) -> tuple[Array, Array, Array, Array]:
    """Return the bins with molecules, sorted by row and column, and their counts: rows of a CSR matrix."""
    side = capture.bins(bin_um)
    keys, values = np.unique((row * side + column) * capture.genes + gene, return_counts=True)
    position, genes = np.divmod(keys, capture.genes)
    positions, number = np.unique(position, return_counts=True)
    return positions, number, genes, values


class _MatrixWriter:
    """Appends columns (bins) to a count matrix of Space Ranger's layout."""

    def __init__(self, path: Path, capture: HDCapture) -> None:
        import h5py

        self._file = h5py.File(path, "w")
        self._side, self._genes, self._ends, self._bins = capture.squares, capture.genes, 0, 0
        for name, value in (
            ("chemistry_description", "Visium HD v1"),
            ("filetype", "matrix"),
            ("library_ids", np.array([f"synthetic_hd_{capture.seed}"], dtype="S")),
            ("original_gem_groups", np.array([1])),
            ("software_version", "spaceranger-3.0.0"),
            ("version", 2),
            ("creator", _CREATOR),
        ):
            self._file.attrs[name] = value
        group = self._file.create_group("matrix")
        packed = {"chunks": (_CHUNK,), "maxshape": (None,), "shuffle": True, "compression": "gzip"}
        for name, kind in (("data", "i4"), ("indices", "i8"), ("indptr", "i8"), ("barcodes", "S21")):
            group.create_dataset(name, (0,), kind, compression_opts=4 if name != "barcodes" else 1, **packed)
        _extended(group["indptr"], np.zeros(1, dtype=np.int64))
        features, names = group.create_group("features"), capture.tissue.genes
        features["name"] = names.astype("S")
        features["id"] = np.array([f"SYNG{number:011d}" for number in range(len(names))], dtype="S")
        features["feature_type"] = np.full(len(names), b"Gene Expression")
        features["genome"] = np.full(len(names), b"synthetic")
        features["_all_tag_keys"] = np.array([b"genome"])

    def append(self, positions: Array, number: Array, genes: Array, values: Array, bin_um: int) -> None:
        """Append bins, given by row × bins a side + column, with their counts."""
        group, side = self._file["matrix"], -(-self._side // (bin_um // 2))
        _extended(group["data"], values)
        _extended(group["indices"], genes)
        _extended(group["indptr"], self._ends + np.cumsum(number))
        _extended(group["barcodes"], _barcodes(*np.divmod(positions, side), bin_um))
        self._ends, self._bins = self._ends + len(values), self._bins + len(positions)

    def close(self) -> None:
        """Write the shape, and close the file."""
        self._file["matrix"]["shape"] = np.array([self._genes, self._bins], dtype=np.int32)
        self._file.close()


def _extended(dataset: Any, values: Array) -> None:
    start = len(dataset)
    dataset.resize((start + len(values),))
    dataset[start:] = values
