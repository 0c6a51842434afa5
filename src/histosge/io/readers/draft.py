"""A section as a file gives it, and the one way in which it becomes a :class:`Section`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import Platform
from histosge.geometry.points import Points
from histosge.section.section import Section

from .base import ReadOptions
from .image_choice import ImageOffer, choose

__all__ = ["Draft", "finish", "join", "unique_genes"]

# a nominal 55 µm Visium spot appears as 65–70 µm in scalefactors_json.json
_SPOT_SEEN_UM = (40.0, 85.0)
_SCALE_TOLERANCE = 0.1
_UNSURE_MPP = (0.02, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """Rows agree; units are still the file's.

    Parameters
    ----------
    name, platform
        As in :class:`Section`.
    counts
        Spots × genes.
    barcodes, genes, gene_ids
        Names.
    xy_px
        Full-resolution pixels (x, y).
    lattice_xy
        (column, row) on the array; ``None`` where the file has none.
    offers
        Images at hand, best first.
    spot_px
        Diameter of a spot in full-resolution pixels, as the file says.
    file_mpp
        µm per full-resolution pixel, as the file says.
    messages
        What was noticed so far.
    """

    name: str
    platform: Platform
    counts: sparse.csr_matrix
    barcodes: Array
    genes: Array
    gene_ids: Array
    xy_px: Array
    lattice_xy: Array | None
    offers: tuple[ImageOffer, ...] = ()
    spot_px: float | None = None
    file_mpp: float | None = None
    messages: tuple[Message, ...] = field(default=())

    def take(self, index: Any, note: Message | None = None) -> Draft:
        """Return the draft with only the rows at ``index``, and a remark."""
        return replace(
            self,
            counts=self.counts[index],
            barcodes=self.barcodes[index],
            xy_px=self.xy_px[index],
            lattice_xy=None if self.lattice_xy is None else self.lattice_xy[index],
            messages=self.messages if note is None else (*self.messages, note),
        )

    def noted(self, level: Any, text: str) -> Draft:
        """Return the draft with a remark."""
        return replace(self, messages=(*self.messages, Message(level, text)))


def finish(draft: Draft, options: ReadOptions) -> Section:
    """Drop empty spots, find the scale, choose the image, and check that all agree.

    Raises
    ------
    UsageError
        When the scale cannot be known without the user.
    DataError
        When nothing is left, or the parts contradict each other.
    """
    draft = _without_empty_spots(draft)
    lattice_px, draft = _lattice_px(draft)
    mpp, draft = _scale(draft, lattice_px, options.mpp)
    slide, messages = choose(draft.offers, options.image, mpp, draft.xy_px, trust=options.trust)
    xy_um = draft.xy_px * mpp
    lattice = None if lattice_px is None else _scaled(lattice_px, mpp)
    lattice_xy = np.full(xy_um.shape, np.nan) if draft.lattice_xy is None else draft.lattice_xy
    diameter_um = draft.platform.diameter_um or _diameter_um(draft, lattice, mpp)
    genes, gene_notes = unique_genes(draft.genes)
    return Section(
        options.name or draft.name,
        draft.counts,
        genes,
        draft.gene_ids,
        Points(xy_um, draft.barcodes, diameter_um),
        lattice_xy,
        lattice,
        draft.platform,
        mpp,
        slide,
        (*draft.messages, *gene_notes, *messages),
    )


def join(
    matrix_barcodes: Array, position_barcodes: Array, what: str
) -> tuple[Array, Array, tuple[Message, ...]]:
    """Return the rows of the matrix and of the positions that share a barcode, in the matrix's order.

    Raises
    ------
    DataError
        For barcodes that repeat, or when none is shared.
    """
    for barcodes, where in ((matrix_barcodes, "count matrix"), (position_barcodes, "positions file")):
        _refuse_repeats(barcodes, where)
    rows = {barcode: row for row, barcode in enumerate(position_barcodes)}
    found = np.array([rows.get(barcode, -1) for barcode in matrix_barcodes], dtype=np.intp)
    if (found < 0).all():
        raise DataError(
            f"The count matrix and the positions of {what} share no barcode (matrix: '{_first(matrix_barcodes)}', "
            f"positions: '{_first(position_barcodes)}'). They belong to different sections."
        )
    lost = int((found < 0).sum())
    messages = (
        (Message("warning", f"{lost} barcodes of the matrix have no position and were dropped."),)
        if lost
        else ()
    )
    return np.flatnonzero(found >= 0), found[found >= 0], messages


def unique_genes(genes: Array) -> tuple[Array, tuple[Message, ...]]:
    """Return gene names with repeats numbered (``A``, ``A-1``, ``A-2``), as scanpy does, and a remark."""
    repeated = {name for name, count in Counter(genes.tolist()).items() if count > 1}
    if not repeated:
        return genes, ()
    taken, named = set(genes.tolist()), []
    seen: Counter[str] = Counter()
    for gene in genes.tolist():
        name = gene
        if gene in repeated and seen[gene]:
            name = f"{gene}-{seen[gene]}"
            while name in taken:
                seen[gene] += 1
                name = f"{gene}-{seen[gene]}"
            taken.add(name)
        seen[gene] += 1
        named.append(name)
    text = (
        f"{len(repeated)} gene names occur more than once; repeats were numbered ('{sorted(repeated)[0]}-1')."
    )
    return np.array(named), (Message("info", text),)


def _first(barcodes: Array) -> str:
    return str(barcodes[0]) if len(barcodes) else "none"


def _refuse_repeats(barcodes: Array, where: str) -> None:
    names, counts = np.unique(barcodes, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"Barcode '{names[counts > 1][0]}' occurs more than once in the {where}. Aggregated runs must be split "
            "into their sections first."
        )


def _without_empty_spots(draft: Draft) -> Draft:
    totals = np.asarray(draft.counts.sum(axis=1)).ravel()
    if not np.isfinite(totals).all():
        raise DataError(f"Expected counts in '{draft.name}', got NaN or infinity. Give the raw matrix.")
    empty = totals == 0
    if empty.any():
        text = f"{int(empty.sum())} of {len(empty)} spots have no counts and were dropped."
        draft = draft.take(~empty, Message("warning", text))
    if len(draft.barcodes) < 3:
        raise DataError(
            f"Expected a section of spots with counts, got {len(draft.barcodes)} in '{draft.name}'. "
            "Check that matrix and positions belong to it, and that spots are marked as on tissue. A section without "
            "counts is predicted from its image: give the image file itself."
        )
    return draft


def _lattice_px(draft: Draft) -> tuple[Lattice | None, Draft]:
    """Return the lattice in pixels; without array coordinates, the one that the positions show, if any."""
    if draft.lattice_xy is not None:
        return Lattice.fit(draft.xy_px, draft.lattice_xy), draft
    if draft.platform.lattice == "irregular":
        return None, draft
    try:
        lattice = Lattice.fit(draft.xy_px)
    except DataError:
        return None, draft.noted(
            "info", "The places are on no lattice; refinement is not available, grids are."
        )
    return lattice, replace(draft, lattice_xy=np.rint(lattice.to_lattice(draft.xy_px)))


def _scale(draft: Draft, lattice_px: Lattice | None, given: float | None) -> tuple[float, Draft]:
    """Return µm per full-resolution pixel: given, else from the pitch, else from the file."""
    from_pitch = None
    if lattice_px is not None and draft.platform.pitch_um is not None:
        from_pitch = draft.platform.pitch_um / lattice_px.pitch_um
    known = [(given, "given"), (from_pitch, "the pitch of the spots"), (draft.file_mpp, "the file")]
    found = [(value, origin) for value, origin in known if value is not None]
    if not found:
        raise UsageError(
            f"'{draft.name}' does not say how large its pixels are. Give µm per full-resolution pixel with --mpp."
        )
    mpp, origin = found[0]
    if not 0 < mpp < np.inf:
        raise UsageError(f"`mpp` must be positive, got {mpp}. A 20× scan has about 0.5 µm per pixel.")
    draft = draft.noted("info", f"{mpp:.4g} µm per full-resolution pixel (from {origin}).")
    for value, other in found[1:]:
        if abs(value / mpp - 1) > _SCALE_TOLERANCE:
            text = (
                f"µm per pixel disagree: {mpp:.4g} from {origin}, {value:.4g} from {other}. Check with --mpp."
            )
            draft = draft.noted("warning", text)
    return mpp, _spot_checked(draft, mpp)


def _spot_checked(draft: Draft, mpp: float) -> Draft:
    """Warn when a Visium spot would have an impossible size."""
    if draft.spot_px is None or draft.platform.diameter_um != 55.0:
        return draft
    seen = draft.spot_px * mpp
    if _SPOT_SEEN_UM[0] <= seen <= _SPOT_SEEN_UM[1]:
        return draft
    return draft.noted(
        "warning", f"A spot would be {seen:.0f} µm wide, expected about 55–70. Check scalefactors_json.json."
    )


def _diameter_um(draft: Draft, lattice: Lattice | None, mpp: float) -> float:
    if draft.spot_px is not None:
        return draft.spot_px * mpp
    return 0.0 if lattice is None else 0.5 * lattice.pitch_um


def _scaled(lattice: Lattice, mpp: float) -> Lattice:
    """Turn a lattice of pixels into one of µm."""
    return replace(
        lattice,
        origin_um=lattice.origin_um * mpp,
        step_um=lattice.step_um * mpp,
        residual_um=lattice.residual_um * mpp,
    )
