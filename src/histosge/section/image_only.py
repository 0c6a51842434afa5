"""A section without counts: an H&E image, and a grid of sampling positions on its tissue."""

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

__all__ = ["SAMPLING_UM", "section_of_image", "tissue_in", "with_genes"]

#: default distance of the sampling positions, µm: the pitch of Visium. A fit of other sections has a pitch of its own.
SAMPLING_UM = 100.0
# tissue smaller than the area of this many sampling positions is dust, or a mark on the slide
_MIN_POSITIONS = 4


def section_of_image(
    slide: SlideImage, name: str, *, spacing_um: float = SAMPLING_UM, mask: TissueMask | None = None
) -> Section:
    """Return a section without genes and counts, with a square grid of sampling positions on the image's tissue.

    Image features at these positions describe the stain and the tissue of the section; nothing is measured there.

    Parameters
    ----------
    slide
        The image.
    name
        Name of the section.
    spacing_um
        Distance of the sampling positions.
    mask
        Tissue; ``None`` detects it in the image.

    Raises
    ------
    DataError
        When the image shows no tissue.
    """
    mask = tissue_in(slide) if mask is None else mask
    width, height = (np.arange(side / spacing_um) for side in slide.size_um)
    index = np.stack(np.meshgrid(width, height), axis=-1).reshape(-1, 2)
    xy_um = (index + 0.5) * spacing_um
    index = index[mask.contains(xy_um)].astype(int)
    if len(index) < _MIN_POSITIONS:
        raise DataError(
            f"Expected tissue in the image '{name}', got none at {slide.mpp:.4g} µm per pixel. Give an image of a "
            "stained section, and its µm per pixel as `mpp`."
        )
    ids = np.array([f"sample_{column}_{row}" for column, row in index])
    no_genes: Array = np.zeros(0, dtype=str)
    return Section(
        name,
        sparse.csr_matrix((len(index), 0)),
        genes=no_genes,
        gene_ids=no_genes,
        spots=Points((index + 0.5) * spacing_um, ids, 0.0),
        lattice_xy=np.full((len(index), 2), np.nan),
        lattice=None,
        platform=Platform("image", spacing_um, None, "irregular"),
        mpp=slide.mpp,
        slide=slide,
    )


def tissue_in(slide: SlideImage, spacing_um: float = SAMPLING_UM) -> TissueMask:
    """Return the tissue in an image, without pieces smaller than four sampling positions.

    Where there are spots, they distinguish tissue from dust; here only size does.
    """
    return TissueMask.from_slide(slide).without_small_pieces(_MIN_POSITIONS * spacing_um**2)


def with_genes(section: Section, genes: Array, gene_ids: Array) -> Section:
    """Return the section with these genes in place of its own, and counts of zero."""
    counts = sparse.csr_matrix((len(section), len(genes)))
    return replace(section, counts=counts, genes=genes, gene_ids=gene_ids)
