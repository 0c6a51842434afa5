"""Assemble a section from the parts that a format provides."""

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
from histosge.section.expression import depth as molecules
from histosge.section.section import Section

from .array_positions import refuse_exchanged, refuse_fractional
from .base import ReadOptions
from .count_values import are_counts, kind_of_values
from .image_choice import ImageCandidate, choose_image

__all__ = ["SectionParts", "assemble", "unique_genes"]

# of the diameter: a nominal 55 µm Visium spot is 65–70 µm wide in scalefactors_json.json
_SPOT_SHARES = (0.73, 1.55)
# of the diameter, where the pitch in file units is that in µm to within this: spots of another width are no pixels
_WIDTHS, _PITCH_IS_UM = (0.95, 1.36), 0.02
# of the pitch, a diameter from which spots touch
_TOUCHING = 0.8
# relative difference of two values of µm per pixel that is reported
_SCALE_TOLERANCE = 0.1
# share of spots at the position of another spot above which several sections are mixed; cells may coincide
_SHARED = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class SectionParts:
    """What a reader provides: row i of each array is the same spot; units are those of the file.

    Parameters
    ----------
    name, platform
        As in :class:`~histosge.section.section.Section`.
    counts
        Spots × genes.
    barcodes, genes, gene_ids
        Names of the rows, and names and identifiers of the columns.
    xy_px
        Full-resolution pixels (x, y).
    lattice_xy
        (column, row) on the array; ``None`` where the file has none.
    images
        Images that come with the section.
    spot_px
        Diameter of a spot in full-resolution pixels, according to the file.
    file_mpp
        µm per full-resolution pixel, according to the file.
    messages
        Messages about the file.
    """

    name: str
    platform: Platform
    counts: sparse.csr_matrix
    barcodes: Array
    genes: Array
    gene_ids: Array
    xy_px: Array
    lattice_xy: Array | None
    images: tuple[ImageCandidate, ...] = ()
    spot_px: float | None = None
    file_mpp: float | None = None
    messages: tuple[Message, ...] = field(default=())

    def take(self, index: Any, message: Message | None = None) -> SectionParts:
        """Return the parts with only the rows at ``index``, and a further message."""
        return replace(
            self,
            counts=self.counts[index],
            barcodes=self.barcodes[index],
            xy_px=self.xy_px[index],
            lattice_xy=None if self.lattice_xy is None else self.lattice_xy[index],
            messages=self.messages if message is None else (*self.messages, message),
        )

    def in_order_of_names(self) -> SectionParts:
        """Return the parts with the spots in the order of their names.

        Whatever follows, random choices by row and sums in floating point alike, is then the same to the last bit for
        every order of the file.
        """
        rows = np.argsort(self.barcodes, kind="stable")
        # most files are sorted by barcode already; a copy of the counts is large
        return self if bool((np.diff(rows) > 0).all()) else self.take(rows)

    def with_message(self, level: Any, text: str) -> SectionParts:
        """Return the parts with a further message."""
        return replace(self, messages=(*self.messages, Message(level, text)))


def assemble(parts: SectionParts, options: ReadOptions) -> Section:
    """Return the section: drop empty spots, choose scale, image and lattice, and check that they agree.

    Its spots are in the order of their names, whatever that of the file.

    Raises
    ------
    UsageError
        When the scale is not in the file and `mpp` is missing.
    DataError
        When no spot has counts, spots share a position, or the parts contradict each other.
    """
    parts = _without_empty_spots(parts).in_order_of_names()
    refuse_fractional(parts.lattice_xy, parts.barcodes)
    has_array = parts.lattice_xy is not None
    lattice_px, parts = _lattice_px(parts)
    _refuse_shared_positions(parts)
    parts = _of_full_resolution(parts, lattice_px, trust_alignment=options.trust_alignment)
    mpp, parts = _scale(parts, lattice_px, options.mpp)
    slide, messages = choose_image(
        parts.images, options.image, mpp, parts.xy_px, trust_alignment=options.trust_alignment
    )
    xy_um = parts.xy_px * mpp
    lattice = None if lattice_px is None else _scaled(lattice_px, mpp)
    lattice_xy = np.full(xy_um.shape, np.nan) if parts.lattice_xy is None else parts.lattice_xy
    diameter_um = parts.platform.diameter_um or _diameter_um(parts, lattice, mpp)
    genes, gene_messages = unique_genes(parts.genes)
    section = Section(
        name=options.name or parts.name,
        counts=parts.counts,
        genes=genes,
        gene_ids=parts.gene_ids,
        spots=Points(xy_um, parts.barcodes, diameter_um),
        lattice_xy=lattice_xy,
        lattice=lattice,
        platform=parts.platform,
        mpp=mpp,
        slide=slide,
        messages=(*parts.messages, *gene_messages, *messages),
    )
    return refuse_exchanged(section, trust_alignment=options.trust_alignment) if has_array else section


def unique_genes(genes: Array) -> tuple[Array, tuple[Message, ...]]:
    """Return gene names with repeats numbered (``A``, ``A-1``, ``A-2``), as scanpy does, and a message."""
    repeated = {name for name, count in Counter(genes.tolist()).items() if count > 1}
    if not repeated:
        return genes, ()
    taken, unique = set(genes.tolist()), []
    occurrences: Counter[str] = Counter()
    for gene in genes.tolist():
        name = gene
        if gene in repeated and occurrences[gene]:
            name = f"{gene}-{occurrences[gene]}"
            while name in taken:
                occurrences[gene] += 1
                name = f"{gene}-{occurrences[gene]}"
            taken.add(name)
        occurrences[gene] += 1
        unique.append(name)
    text = (
        f"{len(repeated)} gene names occur more than once; repeats were numbered ('{sorted(repeated)[0]}-1')."
    )
    return np.array(unique), (Message("info", text),)


def _without_empty_spots(parts: SectionParts) -> SectionParts:
    totals = molecules(parts.counts)
    if not np.isfinite(totals).all():
        raise DataError(f"Expected counts in '{parts.name}', got NaN or infinity. Give the raw matrix.")
    if not are_counts(parts.counts):
        kind = kind_of_values(parts.counts)
        raise DataError(
            f"Expected raw integer counts, 0 or more, in '{parts.name}', got {kind}. Give the raw matrix."
        )
    # log1p(CP10k) is undefined without counts
    empty = totals == 0
    if empty.any():
        text = f"{int(empty.sum())} of {len(empty)} spots have no counts and were dropped."
        parts = parts.take(~empty, Message("warning", text))
    # three spots are the fewest that define a lattice
    if len(parts.barcodes) < 3:
        raise DataError(
            f"Expected a section of spots with counts, got {len(parts.barcodes)} in '{parts.name}'. "
            "Check that matrix and positions belong to it, and that spots are marked as on tissue. A section without "
            "counts is predicted from its image: give the image file itself."
        )
    return parts


def _refuse_shared_positions(parts: SectionParts) -> None:
    """Refuse sections on top of each other: two spots at one position of the array or of the image."""
    for coordinates, what in ((parts.lattice_xy, "array position"), (parts.xy_px, "pixel")):
        if coordinates is None or not np.isfinite(coordinates).all():
            continue
        _, first, counts = np.unique(coordinates, axis=0, return_index=True, return_counts=True)
        shared = int(counts[counts > 1].sum())
        if shared > _SHARED * len(coordinates):
            raise DataError(
                f"{shared} of {len(coordinates)} spots of '{parts.name}' share their {what} with another spot, as "
                f"'{parts.barcodes[first[counts > 1][0]]}' does: several sections are on top of each other. Give one "
                "section, for instance with `library_id`, or split them first."
            )


def _lattice_px(parts: SectionParts) -> tuple[Lattice | None, SectionParts]:
    """Return the lattice in pixels; without array coordinates, one fitted to the positions alone, if it fits."""
    if parts.lattice_xy is not None:
        return Lattice.fit(parts.xy_px, parts.lattice_xy), parts
    if parts.platform.lattice == "irregular":
        return None, parts
    try:
        lattice = Lattice.fit(parts.xy_px)
    except DataError:
        return None, parts.with_message(
            "info", "The spots are on no lattice. Predict on a grid; upsampling is not available."
        )
    return lattice, replace(parts, lattice_xy=np.rint(lattice.to_lattice(parts.xy_px)))


def _scale(
    parts: SectionParts, lattice_px: Lattice | None, mpp_of_user: float | None
) -> tuple[float, SectionParts]:
    """Return µm per full-resolution pixel: of the user, else from the pitch, else from the file."""
    from_pitch = None
    if lattice_px is not None and parts.platform.pitch_um is not None:
        from_pitch = parts.platform.pitch_um / lattice_px.pitch_um
    candidates = [
        (mpp_of_user, "`mpp`"),
        (from_pitch, "the pitch of the spots"),
        (parts.file_mpp, "the file"),
    ]
    known = [(value, origin) for value, origin in candidates if value is not None]
    if not known:
        raise UsageError(
            f"'{parts.name}' has no information about its pixel size. Give `mpp`, µm per full-resolution pixel."
        )
    mpp, origin = known[0]
    if not 0 < mpp < np.inf:
        raise UsageError(f"`mpp` must be positive, got {mpp}. A 20× scan has about 0.5 µm per pixel.")
    parts = parts.with_message("info", f"{mpp:.4g} µm per full-resolution pixel (from {origin}).")
    for value, other in known[1:]:
        if abs(value / mpp - 1) > _SCALE_TOLERANCE:
            text = (
                f"µm per pixel disagree: {mpp:.4g} from {origin}, {value:.4g} from {other}. Check them, and give the "
                "right value as `mpp`."
            )
            parts = parts.with_message("warning", text)
    return mpp, parts


def _of_full_resolution(
    parts: SectionParts, lattice_px: Lattice | None, *, trust_alignment: bool
) -> SectionParts:
    """Refuse coordinates of a smaller image, which the ratio of a spot's diameter and the pitch tells.

    The diameter is in full-resolution pixels, and a spot of Visium is 55 to 70 of 100 µm wide: scale factors have 65.
    """
    platform = parts.platform
    if parts.spot_px is None or lattice_px is None or None in (platform.pitch_um, platform.diameter_um):
        return parts
    spot_um = parts.spot_px * (platform.pitch_um or 0) / lattice_px.pitch_um
    # bins of Visium HD touch, whatever their unit
    is_round = (platform.diameter_um or 0) < _TOUCHING * (platform.pitch_um or 0)
    counts_um = is_round and abs(lattice_px.pitch_um / (platform.pitch_um or 1) - 1) < _PITCH_IS_UM
    if counts_um and not _WIDTHS[0] <= spot_um / (platform.diameter_um or 1) <= _WIDTHS[1]:
        text = (
            f"Expected positions of '{parts.name}' in pixels of the full-resolution image. Neighbours are "
            f"{lattice_px.pitch_um:.4g} apart, as in µm, but spots are {parts.spot_px:.4g} pixels wide by the scale "
            "factors, which does not fit: the positions count µm. Divide them by the µm per pixel"
        )
        if not trust_alignment:
            raise DataError(f"{text}; or correct the spot diameter of the scale factors, if that is wrong.")
        return parts.with_message("warning", f"{text}. They are used because of `trust_alignment`.")
    low, high = (share * (platform.diameter_um or 0) for share in _SPOT_SHARES)
    if low <= spot_um <= high:
        return parts
    text = (
        f"By the pitch of the spots a spot would be {spot_um:.0f} µm wide, expected {low:.0f} to {high:.0f}. "
    )
    small = [image for image in parts.images if image.scale < 0.9 and low <= spot_um * image.scale <= high]
    if small:
        text += (
            f"The positions of '{parts.name}' count pixels of the {small[0].kind} image, and full-resolution ones are "
            f"expected: divide them by {small[0].scale:.6g}, its scale factor"
        )
        if not trust_alignment:
            raise DataError(f"{text}; or correct the spot diameter of the scale factors, if that is wrong.")
        return parts.with_message("warning", f"{text}. They are used because of `trust_alignment`.")
    return parts.with_message("warning", f"{text}Check scalefactors_json.json.")


def _diameter_um(parts: SectionParts, lattice: Lattice | None, mpp: float) -> float:
    if parts.spot_px is not None:
        return parts.spot_px * mpp
    return 0.0 if lattice is None else 0.5 * lattice.pitch_um


def _scaled(lattice: Lattice, mpp: float) -> Lattice:
    """Turn a lattice of pixels into one of µm."""
    return replace(
        lattice,
        origin_um=lattice.origin_um * mpp,
        step_um=lattice.step_um * mpp,
        residual_um=lattice.residual_um * mpp,
    )
