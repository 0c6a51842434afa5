"""Several capture areas of one slide as one section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points

from .section import Section

__all__ = ["joined_captures"]

# relative difference of the µm per pixel of captures of one image
_SCALE_TOLERANCE = 1e-3


def joined_captures(sections: Sequence[Section], *, name: str | None = None) -> Section:
    """Return one section of the spots of several capture areas that share an image.

    Positions must refer to the same image: each capture was read with it as ``image``. The joined section has no
    lattice, since each capture has its own; it is predicted on a grid, which may reach over all tissue of the image
    (``Target(spacing_um=…, reach_um=inf)``). Genes are those that all captures have. Differences between captures that
    come from the measurement are not removed.

    Parameters
    ----------
    sections
        At least two, as :func:`histosge.read` returns them.
    name
        Of the result; by default the names joined by ``+``.

    Raises
    ------
    UsageError
        For fewer than two sections, other images or scales, bins of another width, or no common gene.
    DataError
        Where captures lie on top of each other: their positions do not refer to the same image.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=12, rows=12, genes=12).section
    >>> west = section.spots.xy[:, 0] < 600
    >>> len(joined_captures([section.take(west), section.take(~west)])) == len(section)
    True
    """
    sections = list(sections)
    if len(sections) < 2:
        raise UsageError(f"Expected at least two captures to join, got {len(sections)}.")
    _refuse_differences(sections)
    _refuse_overlap(sections)
    first = sections[0]
    common = set(first.genes.tolist()).intersection(*(part.genes.tolist() for part in sections[1:]))
    kept = [str(gene) for gene in first.genes if str(gene) in common]
    if not kept:
        raise UsageError("The captures have no gene in common. Give captures of the same panel.")
    counts = [part.counts[:, positions(kept, part.genes)] for part in sections]
    ids = np.concatenate([part.spots.ids for part in sections])
    if len(np.unique(ids)) < len(ids):
        # captures of one kind share their barcodes
        ids = np.concatenate(
            [np.char.add(f"capture{at + 1}_", part.spots.ids) for at, part in enumerate(sections)]
        )
    xy_um = np.concatenate([part.spots.xy for part in sections])
    text = f"{len(sections)} captures of one image were joined: {len(ids)} spots, {len(kept)} genes that all have."
    return replace(
        first,
        name=name or "+".join(part.name for part in sections),
        counts=sparse.csr_matrix(sparse.vstack(counts)),
        genes=np.array(kept),
        gene_ids=first.gene_ids[positions(kept, first.genes)],
        spots=Points(xy_um, ids, first.spots.diameter_um),
        lattice_xy=np.full(xy_um.shape, np.nan),
        lattice=None,
        messages=(*(message for part in sections for message in part.messages), Message("info", text)),
        sources=tuple(dict.fromkeys(source for part in sections for source in part.sources)),
    )


def _refuse_differences(sections: Sequence[Section]) -> None:
    first = sections[0]
    for part in sections[1:]:
        if first.slide is None or part.slide is None or first.slide.fingerprint != part.slide.fingerprint:
            raise UsageError(
                f"'{first.name}' and '{part.name}' do not have the same image. Read both with the image of the slide "
                "as `image`."
            )
        if abs(part.mpp / first.mpp - 1) > _SCALE_TOLERANCE:
            raise UsageError(
                f"'{first.name}' has {first.mpp:.4g} µm per pixel and '{part.name}' {part.mpp:.4g}, of one image. Give "
                "both the same `mpp`."
            )
        if part.platform != first.platform:
            raise UsageError(
                f"'{first.name}' is of {first.platform.name} and '{part.name}' of {part.platform.name}. Join "
                "captures of one kind and one width of bins."
            )


def _refuse_overlap(sections: Sequence[Section]) -> None:
    for at, part in enumerate(sections):
        for other in sections[at + 1 :]:
            near = cKDTree(part.spots.xy).query(other.spots.xy)[0] < 0.5 * part.pitch_um
            if near.any():
                raise DataError(
                    f"{int(near.sum())} spots of '{other.name}' lie on spots of '{part.name}': their positions do not "
                    "refer to one image, or a section was given twice. Give the captures of one slide, each read with "
                    "its image as `image`."
                )
