"""The data inside a page: metadata, and encoded arrays by name."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from histosge._runtime.names import near_misses, positions
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.geometry.covered_area import covered_area
from histosge.geometry.spacing import median_spacing_um
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.mean_depth import is_depth_adjusted
from histosge.section.gene_aliases import named_by_alias
from histosge.section.locations import Locations
from histosge.section.marker_genes import named_positions

from .accuracy import calibration, left_out
from .codes import Packed, pack
from .contents import Contents
from .gene_names import gene_groups, gene_labels, identifiers, other_names
from .means_codes import packed_means
from .measured import Chunk, chunks
from .outlines import Outlines, packed_outlines
from .pack import blob
from .pyramid import TILE_PX, Pyramid, pyramid

__all__ = ["PageData", "colours", "page_data"]

_MAPS = ("viridis", "cividis", "magma")
# most characters of the image and of the measured values
_IMAGE_BYTES, _MEASURED_BYTES = 20_000_000, 16_000_000
_MARGIN = 0.05
# radius of a tile in units of the spacing: the default where it cannot be measured, and the largest
_REACH, _MAX_REACH = 0.72, 1.6
# tiles of irregular locations are at most this much larger than the median, which large triangles at the border are not
_USUAL_REACH = 1.25
# diameter of a dot in units of the spacing, for locations without extent
_DOT = 0.9
# dense locations have no steps at the border that show
_MOST_COVERED = 60_000


@dataclass(frozen=True, slots=True, eq=False)
class PageData:
    """The data inside a page.

    Parameters
    ----------
    about
        Metadata: names, numbers, and how to decode the blobs.
    blobs
        (name, text) in the order in which the page needs them.
    packed
        The encoded prediction, with its rounding errors.
    image
        The pyramid, or ``None``.
    measured_genes
        Number of genes with measured values in the page.
    outlines
        Those of cells.
    """

    about: dict[str, Any]
    blobs: list[tuple[str, str]]
    packed: Packed
    image: Pyramid | None
    measured_genes: int
    outlines: Outlines


def page_data(contents: Contents, *, first: str | None) -> PageData:
    """Pack everything for the page.

    Raises
    ------
    UsageError
        For an unknown first gene.
    """
    names = contents.prediction.genes
    first = _first(contents) if first is None else _known(names, first)
    image = None if contents.slide is None else pyramid(contents.slide, budget_bytes=_IMAGE_BYTES)
    packed = pack(contents.prediction)
    means = packed_means(contents.means)
    frame = _frame(contents, image)
    outlines = packed_outlines(contents.prediction.locations)
    order, measured_chunks = _measured_chunks(contents)
    about = {
        **_about(contents, frame),
        "groups": gene_groups(contents, first),
        "first": gene_labels(names)[int(positions([first], names)[0])],
        "image": _image(image),
        "measured": _measured(contents, measured_chunks),
        "outlines": outlines.about,
        "has_sd": packed.error_sd is not None,
        "means": means.about,
        **packed.about,
    }
    blobs = [(f"blob-{name}", text) for name, text in _arrays(contents, frame, order).items()]
    blobs += [(f"blob-{name}", text) for name, text in (packed.blobs | means.blobs | outlines.blobs).items()]
    if image is not None:
        # the page needs the coarsest level first
        levels = [(f"tiles-{row}", "\n".join(level.tiles)) for row, level in enumerate(image.levels)]
        blobs += levels[::-1]
    blobs += [(f"blob-measured.{row}", chunk.text) for row, chunk in enumerate(measured_chunks)]
    return PageData(
        about,
        blobs,
        packed=packed,
        image=image,
        measured_genes=sum(chunk.genes for chunk in measured_chunks),
        outlines=outlines,
    )


def _about(contents: Contents, frame: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata that follow from the contents alone."""
    locations = contents.prediction.locations
    return {
        "title": str(contents.record["section"].get("name") or "section"),
        "genes": gene_labels(contents.prediction.genes),
        "aliases": other_names(contents),
        "frame": frame,
        "locations": _locations(locations),
        "spots": _spots(contents),
        "labels": [{"name": item.name, "of": item.of, "names": item.names} for item in contents.labels],
        "outline": [np.round(line - frame["origin"], 1).ravel().tolist() for line in contents.outline],
        "covered": _covered(contents, np.asarray(frame["origin"])),
        "cells": locations.cells is not None,
        "calibration": calibration(contents),
        "maps": {name: colours(name) for name in _MAPS},
        "at_mean_depth": is_depth_adjusted(contents.record),
        "left_out": left_out(contents),
        "made_by": _made_by(contents),
    }


def _made_by(contents: Contents) -> str:
    """Return the last sentence of a caption."""
    record = contents.record
    model = (record.get("model") or {}).get("name") or (record.get("recipe") or {}).get("model")
    return f"Predicted by histosge {version('histosge')}{f', {model}' if model else ''}."


def _known(genes: Array, gene: str) -> str:
    """Return the gene that is named, also by its symbol or, as the search has it, by an alias, or refuse it."""
    gene = named_by_alias(gene, genes, genes) or gene
    if (row := int(named_positions([gene], genes, genes)[0])) >= 0:
        return str(genes[row])
    raise UsageError(
        f"'{gene}' is not among the {len(genes)} genes of this report.{near_misses(gene, genes)}"
    )


def _first(contents: Contents) -> str:
    """Return the gene to show first: one that the run drew, else the most accurate one."""
    prediction = contents.prediction
    shown = [str(name) for name in contents.record.get("genes_shown", ()) if name in prediction.genes]
    if shown:
        return shown[0]
    if isinstance(prediction, FactoredPrediction) and np.isfinite(prediction.basis.r_loo).any():
        # the stricter of both correlations: the largest r is often that of total counts
        strict = np.fmin(prediction.basis.r_loo, prediction.basis.r_loo_given_depth)
        return str(prediction.genes[int(np.nanargmax(strict))])
    return str(prediction.genes[0])


def _frame(contents: Contents, image: Pyramid | None) -> dict[str, Any]:
    """Return the visible rectangle in µm: the image, or without one the locations and a margin."""
    xy = contents.prediction.locations.xy
    if contents.measured is not None:
        xy = np.vstack([xy, contents.measured.spots.xy])
    # half-covered tiles at the border stay visible
    margin = contents.pitch_um + _MARGIN * float(np.ptp(xy, axis=0).max())
    low, high = xy.min(axis=0) - margin, xy.max(axis=0) + margin
    origin = low if image is None else np.zeros(2)
    size = high - low if image is None else np.array([image.width_um, image.height_um])
    home = np.concatenate([low - origin, high - low])
    return {
        "origin": origin.tolist(),
        "width": float(size[0]),
        "height": float(size[1]),
        "mpp": contents.mpp,
        "home": dict(zip(("left", "top", "width", "height"), home.tolist(), strict=True)),
    }


def _image(image: Pyramid | None) -> dict[str, Any] | None:
    if image is None:
        return None
    levels = [{"width": level.width_px, "height": level.height_px} for level in image.levels]
    return {"tile": TILE_PX, "mpp": image.mpp, "levels": levels}


def _covered(contents: Contents, origin: Array) -> list[list[float]]:
    """Return the borders of what the locations on tissue cover; none for cells, and where it would take long."""
    locations = contents.prediction.locations
    xy = locations.xy[contents.shown]
    if locations.cells is not None or len(xy) > _MOST_COVERED:
        return []
    return [np.round(border - origin, 1).ravel().tolist() for border in covered_area(xy, contents.pitch_um)]


def _locations(locations: Locations) -> dict[str, Any]:
    """Return the spacing of locations, and the radius of dots and tiles."""
    spacing_um = 100.0
    if len(locations) > 1:
        spacing_um = median_spacing_um(locations.xy)
    # overlapping dots would hide each other
    diameter_um = min(locations.points.diameter_um or _DOT * spacing_um, _DOT * spacing_um)
    reach_um = _reach(locations.xy, spacing_um)
    return {"n": len(locations), "spacing_um": spacing_um, "radius_um": diameter_um / 2, "reach_um": reach_um}


def _reach(xy_um: Array, spacing_um: float) -> float:
    """Return the radius of tiles without gaps: the circumradius of most Delaunay triangles of the locations."""
    from scipy.spatial import Delaunay, QhullError

    try:
        corners = xy_um[Delaunay(xy_um).simplices]
    except (QhullError, ValueError):
        return _REACH * spacing_um
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    sides = (np.linalg.norm(side, axis=1) for side in (a, b, a - b))
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    # circumradius of a triangle: product of the sides over four times the area
    radius = np.prod(list(sides), axis=0) / (4 * np.maximum(area, 1e-9))
    # larger triangles lie across bays and along the border
    inner = radius[radius < _MAX_REACH * spacing_um]
    if not len(inner):
        return _REACH * spacing_um
    # a little more, so that rounding leaves no seam
    return 1.03 * float(min(np.quantile(inner, 0.98), _USUAL_REACH * np.median(inner)))


def _spots(contents: Contents) -> dict[str, Any] | None:
    if contents.measured is None:
        return None
    spots = contents.measured.spots
    return {"n": len(spots), "radius_um": (spots.diameter_um or _DOT * contents.pitch_um) / 2}


def _measured_chunks(contents: Contents) -> tuple[Array, list[Chunk]]:
    """Return measured values, of the most accurate genes first, and the rows of the genes in that order."""
    measured = contents.measured
    if measured is None:
        return np.empty(0, dtype=np.int32), []
    prediction = contents.prediction
    rows = positions(measured.genes, prediction.genes).astype(np.int32)
    score = (
        prediction.basis.r_loo
        if isinstance(prediction, FactoredPrediction)
        else np.zeros(len(prediction.genes))
    )
    columns = np.argsort(-np.nan_to_num(score[rows], nan=-np.inf), kind="stable")
    return rows[columns], chunks(measured, columns, budget_bytes=_MEASURED_BYTES)


def _measured(contents: Contents, measured_chunks: list[Chunk]) -> dict[str, Any] | None:
    if contents.measured is None:
        return None
    sizes = [chunk.genes for chunk in measured_chunks]
    return {"kind": contents.measured.kind, "step": contents.measured.step, "chunks": sizes}


def _arrays(contents: Contents, frame: dict[str, Any], order: Array) -> dict[str, str]:
    """Return positions, names and labels."""
    locations, measured = contents.prediction.locations, contents.measured
    origin = np.array(frame["origin"])
    arrays = {
        "xy": blob((locations.xy - origin).astype(np.float32)),
        "ids": blob("\n".join(map(str, locations.points.ids)).encode()),
        "gene_ids": blob("\n".join(identifiers(contents)).encode()),
        "spot_of": blob(_spot_of(contents)),
        "shown": blob(contents.shown.astype(np.uint8)),
        "measured_order": blob(order.astype(np.int32)),
    }
    if measured is not None:
        arrays["spots"] = blob((measured.spots.xy - origin).astype(np.float32))
        if measured.depth is not None:
            arrays["depth"] = blob(measured.depth.astype(np.float32))
    for index, labels in enumerate(contents.labels):
        arrays[f"labels-{index}"] = blob((labels.codes + 1).astype(np.uint8))
    return arrays


def _spot_of(contents: Contents) -> Array:
    """Return the row of the measured spot at each location, −1 for locations between spots."""
    ids = contents.prediction.locations.points.ids
    if contents.measured is None:
        return np.full(len(ids), -1, dtype=np.int32)
    row_of = {str(name): row for row, name in enumerate(contents.measured.spots.ids)}
    return np.array([row_of.get(str(name), -1) for name in ids], dtype=np.int32)


def colours(name: str) -> str:
    """Return the 256 colours of a colour map, as bytes of red, green, blue in base64."""
    from matplotlib import colormaps

    rgb = np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
    return base64.b64encode(rgb.tobytes()).decode("ascii")
