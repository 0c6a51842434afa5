"""A section of which nothing was measured: its image, and places that are looked at where others have spots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array
from histosge.errors import DataError
from histosge.geometry.platforms import Platform
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask

from .section import Section

__all__ = ["LOOK_UM", "of_image", "tissue_in", "with_genes"]

#: distance of the places that are looked at, where no fit says another: the pitch of Visium
LOOK_UM = 100.0
# tissue smaller than so many places in a square is dust, or a mark on the slide
_LEAST_PLACES = 4


def of_image(
    slide: SlideImage, name: str, *, look_um: float = LOOK_UM, mask: TissueMask | None = None
) -> Section:
    """Return the section that an image shows: no genes, no counts, and a grid of places on its tissue.

    The places tell how it is stained and what is around a place; nothing is measured there.

    Parameters
    ----------
    slide
        The image.
    name
        What to call the section.
    look_um
        Distance of the places.
    mask
        Tissue; ``None`` finds it.

    Raises
    ------
    DataError
        When the image shows no tissue.
    """
    mask = tissue_in(slide) if mask is None else mask
    width, height = (np.arange(side / look_um) for side in slide.size_um)
    index = np.stack(np.meshgrid(width, height), axis=-1).reshape(-1, 2)
    xy_um = (index + 0.5) * look_um
    index = index[mask.contains(xy_um)].astype(int)
    if len(index) < _LEAST_PLACES:
        raise DataError(
            f"Expected tissue in the image '{name}', found none at {slide.mpp:.4g} µm per pixel. Give an image of a "
            "stained section, and its µm per pixel with --mpp."
        )
    ids = np.array([f"seen_{column}_{row}" for column, row in index])
    none: Array = np.zeros(0, dtype=str)
    return Section(
        name,
        sparse.csr_matrix((len(index), 0)),
        none,
        none,
        Points((index + 0.5) * look_um, ids, 0.0),
        np.full((len(index), 2), np.nan),
        None,
        Platform("image", look_um, None, "irregular"),
        slide.mpp,
        slide,
    )


def tissue_in(slide: SlideImage, look_um: float = LOOK_UM) -> TissueMask:
    """Return the tissue in an image, less what is smaller than four places: no spots tell tissue from dust."""
    return TissueMask.from_slide(slide).pieces(_LEAST_PLACES * look_um**2)


def with_genes(section: Section, genes: Array, gene_ids: Array) -> Section:
    """Return the section with these genes in place of its own; none of them was counted."""
    counts = sparse.csr_matrix((len(section), len(genes)))
    return replace(section, counts=counts, genes=genes, gene_ids=gene_ids)
