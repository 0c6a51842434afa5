"""Whether the barcodes of a count matrix and those of a positions file are of the same section."""

from __future__ import annotations

import re

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.types import Array, Bool, Int
from histosge.errors import DataError

__all__ = [
    "match_barcodes",
    "raw_messages",
    "refuse_aggregated",
    "refuse_other_section",
    "seems_raw",
]

# a 10x barcode, of a spot or of a bin, and the number of its library
_TENX = re.compile(r"(?:[ACGTN]{8,}|s_\d+um_\d+_\d+|cellid_\d+|SPOT-\w+)-(\d+)$")
# share of spots off tissue in a filtered matrix that is another section's; Space Ranger writes none, users edit a few
_OTHER = 0.1
# the same where as large a share of the spots on tissue has no counts, which editing does not explain
_OTHER_BOTH = 0.01
# so few spots may differ in any section
_FEW = 3
# share of the spots off tissue that a raw matrix holds; all of them for Visium
_RAW = 0.9
# probability that a spot on tissue holds more counts than one off it: 1 where tissue is found well, 0.5 by chance
_DEEPER = 0.75
# with fewer spots of a kind the probability is uncertain
_ENOUGH = 20


def match_barcodes(
    matrix_barcodes: Array, position_barcodes: Array, what: str
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], tuple[Message, ...]]:
    """Return the rows of the matrix and of the positions that share a barcode, in the matrix's order.

    Raises
    ------
    DataError
        For repeated barcodes, without a shared one, or where many barcodes of each have no partner.
    """
    for barcodes, where in ((matrix_barcodes, "count matrix"), (position_barcodes, "positions file")):
        _refuse_repeats(barcodes, where)
    rows = positions(matrix_barcodes, position_barcodes)
    if (rows < 0).all():
        raise DataError(
            f"The count matrix and the positions of {what} share no barcode (matrix: '{_first_of(matrix_barcodes)}', "
            f"positions: '{_first_of(position_barcodes)}'). They belong to different sections."
        )
    lost = int((rows < 0).sum())
    text = f"{lost} barcodes of the matrix have no position and were dropped."
    return np.flatnonzero(rows >= 0), rows[rows >= 0], (Message("warning", text),) if lost else ()


def refuse_aggregated(matrix_barcodes: Array, position_barcodes: Array) -> None:
    """Refuse a matrix of several libraries, as ``spaceranger aggr`` writes it: barcodes end in ``-1``, ``-2``, ….

    Raises
    ------
    DataError
        Where barcodes end in different numbers, or in another number than those of the positions.
    """
    if all(
        len(names) and np.char.endswith(names, "-1").all() for names in (matrix_barcodes, position_barcodes)
    ):
        return
    in_matrix, in_positions = _libraries(matrix_barcodes), _libraries(position_barcodes)
    if len(in_matrix) > 1:
        endings = ", ".join(f"-{number}" for number in in_matrix[:4])
        raise DataError(
            f"Expected the count matrix of one section, got barcodes that end in {endings}: it is an aggregated "
            "matrix of several sections. Split it, or give the matrix of this section alone."
        )
    if in_matrix and in_positions and in_matrix != in_positions[:1]:
        raise DataError(
            f"Barcodes of the count matrix end in -{in_matrix[0]}, those of the positions in -{in_positions[0]}: the "
            "matrix was taken out of an aggregated one, so another section's positions would fit too. Give the matrix "
            f"of this section alone, or rename its barcodes to -{in_positions[0]} if they belong together."
        )


def refuse_other_section(
    has_counts: Bool[np.ndarray, " n"], in_tissue: Bool[np.ndarray, " n"], lost: int, *, filtered: bool
) -> tuple[Message, ...]:
    """Compare the spots of a matrix with those marked as on tissue; return a message where a part has no counts.

    All Visium slides of a kind share their barcodes, so that a matrix can be joined to any positions. A filtered matrix
    holds exactly the spots under tissue, which tells sections apart.

    Parameters
    ----------
    has_counts, in_tissue
        Of each row of the positions file: whether the matrix has its barcode, and whether it is on tissue.
    lost
        Barcodes of the matrix without a position.
    filtered
        Whether the matrix is a filtered one. A raw one holds spots off tissue, too.

    Raises
    ------
    DataError
        Where more than a tenth of the matrix's barcodes are off tissue; or more than a hundredth are off tissue or have
        no position, and as many spots on tissue have no counts.
    """
    off = int((has_counts & ~in_tissue).sum()) if filtered else 0
    total, on_tissue = int(has_counts.sum()) + lost, int(in_tissue.sum())
    missing = int((in_tissue & ~has_counts).sum()) if filtered else 0
    parts = [
        f"{off} of {total} barcodes of the filtered matrix are marked as off tissue" if off else "",
        f"{lost} of {total} barcodes of the matrix have no position" if lost else "",
        f"{missing} of {on_tissue} spots on tissue have no counts" if missing else "",
    ]
    finding = ", and ".join(part for part in parts if part)
    both = _many(max(off, lost), total, _OTHER_BOTH) and _many(missing, on_tissue, _OTHER_BOTH)
    if both or _many(off, total, _OTHER):
        raise DataError(
            f"{finding}. A filtered matrix holds exactly the spots on tissue: matrix and positions belong to "
            "different sections. Give those of one section; where in_tissue was edited by hand, remove the other "
            "spots from the matrix."
        )
    if not off and not _many(missing, on_tissue, _OTHER):
        return ()
    text = f"{finding}. Check that matrix and positions belong to the same section."
    return (Message("warning", text),)


def seems_raw(spot_rows: Int[np.ndarray, " n"], in_tissue: Bool[np.ndarray, " m"]) -> bool:
    """Return whether a matrix of unknown name is a raw one: it holds nearly all spots off tissue, too.

    Parameters
    ----------
    spot_rows
        Rows of the positions file whose barcodes the matrix has.
    in_tissue
        Of each row of the positions file.
    """
    off = ~in_tissue
    return bool(off.any() and off[spot_rows].sum() >= _RAW * off.sum())


def raw_messages(depth: Array, in_tissue: Bool[np.ndarray, " n"]) -> tuple[Message, ...]:
    """Return a warning where the counts of a raw matrix do not lie where the positions say that tissue is.

    Barcodes of a raw matrix are those of the slide, which fit any section; its counts are mostly of spots on tissue.
    That is no proof: tissue that was left out by hand has counts, too.

    Parameters
    ----------
    depth, in_tissue
        Counts of each spot, and whether it is marked as on tissue.
    """
    from scipy.stats import mannwhitneyu

    on, off = depth[in_tissue], depth[~in_tissue]
    if min(len(on), len(off)) < _ENOUGH:
        return ()
    # the area under the curve, U / (n m)
    deeper = float(mannwhitneyu(on, off).statistic) / (len(on) * len(off))
    if deeper >= _DEEPER:
        return ()
    text = (
        f"Spots on tissue do not hold more counts than those off tissue (with a probability of {deeper:.2f}; 0.5 is "
        "chance). Check that the raw matrix and the positions belong to the same section."
    )
    return (Message("warning", text),)


def _many(count: int, total: int, share: float) -> bool:
    return count > max(_FEW, share * total)


def _libraries(barcodes: Array) -> list[str]:
    """Return the numbers that 10x barcodes end in, the most frequent first; none where some are no 10x barcodes."""
    endings = [_TENX.match(str(barcode)) for barcode in barcodes]
    if not endings or any(ending is None for ending in endings):
        return []
    numbers, counts = np.unique([ending.group(1) for ending in endings if ending], return_counts=True)
    return [str(number) for number in numbers[np.argsort(-counts, kind="stable")]]


def _first_of(barcodes: Array) -> str:
    return str(barcodes[0]) if len(barcodes) else "none"


def _refuse_repeats(barcodes: Array, where: str) -> None:
    names, counts = np.unique(barcodes, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"Barcode '{names[counts > 1][0]}' occurs more than once in the {where}. Aggregated runs must be split "
            "into their sections first."
        )
