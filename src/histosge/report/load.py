"""What the page carries: one mapping of facts, and blobs by name."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.geometry.spacing import median_spacing_um
from histosge.prediction.factored import FactoredPrediction
from histosge.section.locations import Locations

from .codes import Packed, pack
from .contents import Contents
from .measured import Chunk, chunks
from .pack import blob
from .pyramid import TILE_PX, Pyramid, pyramid
from .words import calibration, left_out

__all__ = ["Load", "load"]

_MAPS = ("viridis", "cividis", "magma")
# characters that the image and the measured values may take
_IMAGE_BYTES, _MEASURED_BYTES = 20_000_000, 16_000_000
_MARGIN = 0.05
# reach of a tile as a share of the distance of places, where it cannot be measured, and at most
_REACH, _MOST_REACH = 0.72, 1.6
# of irregular places, some triangles of the border pass for the pattern's: no tile reaches much further than most
_USUAL_REACH = 1.25
# a place between spots has four of them as near as this, one beyond the border three at most
_AROUND, _AROUND_PITCHES = 4, 1.15
# width of a dot, where places have no extent of their own, as a share of their distance
_DOT = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What the page carries.

    Parameters
    ----------
    about
        Facts: names, numbers, and how to read the blobs.
    blobs
        (name, text) in the order in which they are wanted.
    packed
        The prediction, for what is lost.
    image
        The pyramid, or ``None``.
    measured_genes
        How many genes have measured values here.
    """

    about: dict[str, Any]
    blobs: list[tuple[str, str]]
    packed: Packed
    image: Pyramid | None
    measured_genes: int


def load(contents: Contents, *, first: str | None) -> Load:
    """Pack everything for the page.

    Raises
    ------
    UsageError
        For a first gene that is not there.
    """
    genes = [str(name) for name in contents.prediction.genes]
    opened = _first(contents) if first is None else _known(genes, first)
    image = None if contents.slide is None else pyramid(contents.slide, budget_bytes=_IMAGE_BYTES)
    packed = pack(contents.prediction)
    frame = _frame(contents, image)
    order, carried = _carried(contents)
    about = {
        "title": str(contents.record["section"].get("name") or "section"),
        "genes": genes,
        "first": opened,
        "frame": frame,
        "image": _image(image),
        "places": _places(contents.prediction.locations),
        "spots": _spots(contents),
        "measured": _measured(contents, carried),
        "labels": [{"name": each.name, "of": each.of, "names": each.names} for each in contents.labels],
        "outline": [np.round(line - frame["origin"], 1).ravel().tolist() for line in contents.outline],
        "calibration": calibration(contents),
        "maps": {name: _colours(name) for name in _MAPS},
        "has_sd": packed.error_sd is not None,
        "left_out": left_out(contents),
        **packed.about,
    }
    blobs = [(f"blob-{name}", text) for name, text in _arrays(contents, frame, order).items()]
    blobs += [(f"blob-{name}", text) for name, text in packed.blobs.items()]
    if image is not None:
        # the coarsest level is wanted first
        levels = [(f"tiles-{row}", "\n".join(level.tiles)) for row, level in enumerate(image.levels)]
        blobs += levels[::-1]
    blobs += [(f"blob-measured.{row}", chunk.text) for row, chunk in enumerate(carried)]
    return Load(about, blobs, packed, image, sum(chunk.genes for chunk in carried))


def _known(genes: Sequence[str], gene: str) -> str:
    """Return the gene, or refuse it with near misses."""
    if gene in genes:
        return gene
    near = difflib.get_close_matches(gene, genes, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"'{gene}' is not among the {len(genes)} genes of this report.{hint}")


def _first(contents: Contents) -> str:
    """Return a gene worth looking at: one that the run drew, else the best predicted one."""
    prediction = contents.prediction
    shown = [str(name) for name in contents.record.get("genes_shown", ()) if name in prediction.genes]
    if shown:
        return shown[0]
    if isinstance(prediction, FactoredPrediction) and np.isfinite(prediction.basis.r_loo).any():
        return str(prediction.genes[int(np.nanargmax(prediction.basis.r_loo))])
    return str(prediction.genes[0])


def _frame(contents: Contents, image: Pyramid | None) -> dict[str, Any]:
    """Return the rectangle that is looked at, in µm: the image, or without one the places and a margin."""
    xy = contents.prediction.locations.xy
    if contents.measured is not None:
        xy = np.vstack([xy, contents.measured.spots.xy])
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


def _places(locations: Locations) -> dict[str, Any]:
    """Return how far places are apart, and how large a dot is."""
    spacing_um = 100.0
    if len(locations) > 1:
        spacing_um = median_spacing_um(locations.xy)
    # dots that overlap hide each other
    diameter_um = min(locations.points.diameter_um or _DOT * spacing_um, _DOT * spacing_um)
    reach_um = _reach(locations.xy, spacing_um)
    return {"n": len(locations), "spacing_um": spacing_um, "radius_um": diameter_um / 2, "reach_um": reach_um}


def _reach(xy_um: Array, spacing_um: float) -> float:
    """Return how far a tile must reach to leave no gap between places: to the middle of most triangles of them."""
    from scipy.spatial import Delaunay, QhullError

    try:
        corners = xy_um[Delaunay(xy_um).simplices]
    except (QhullError, ValueError):
        return _REACH * spacing_um
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    sides = (np.linalg.norm(side, axis=1) for side in (a, b, a - b))
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    radius = np.prod(list(sides), axis=0) / (4 * np.maximum(area, 1e-9))
    # triangles across bays and along the border are none of the pattern
    inner = radius[radius < _MOST_REACH * spacing_um]
    if not len(inner):
        return _REACH * spacing_um
    return 1.03 * float(min(np.quantile(inner, 0.98), _USUAL_REACH * np.median(inner)))


def _spots(contents: Contents) -> dict[str, Any] | None:
    if contents.measured is None:
        return None
    spots = contents.measured.spots
    return {"n": len(spots), "radius_um": (spots.diameter_um or _DOT * contents.pitch_um) / 2}


def _carried(contents: Contents) -> tuple[Array, list[Chunk]]:
    """Return measured values, of the best predicted genes first, and the rows of the genes in that order."""
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


def _measured(contents: Contents, carried: list[Chunk]) -> dict[str, Any] | None:
    if contents.measured is None:
        return None
    sizes = [chunk.genes for chunk in carried]
    return {"kind": contents.measured.kind, "step": contents.measured.step, "chunks": sizes}


def _arrays(contents: Contents, frame: dict[str, Any], order: Array) -> dict[str, str]:
    """Return positions, names and labels."""
    places, measured = contents.prediction.locations, contents.measured
    origin = np.array(frame["origin"])
    found = {
        "xy": blob((places.xy - origin).astype(np.float32)),
        "ids": blob("\n".join(map(str, places.points.ids)).encode()),
        "spot_of": blob(_spot_of(contents)),
        "shown": blob(_shown(contents).astype(np.uint8)),
        "measured_order": blob(order.astype(np.int32)),
    }
    if measured is not None:
        found["spots"] = blob((measured.spots.xy - origin).astype(np.float32))
        if measured.depth is not None:
            found["depth"] = blob(measured.depth.astype(np.float32))
    for index, labels in enumerate(contents.labels):
        found[f"labels-{index}"] = blob((labels.codes + 1).astype(np.uint8))
    return found


def _shown(contents: Contents) -> Array:
    """Tell which places are worth a look: on tissue, measured, or surrounded by spots.

    Where spots were measured all around, a hole in the mask is a pale patch more often than a hole.
    """
    from scipy.spatial import cKDTree

    places = contents.prediction.locations
    found: Array = np.asarray(places.in_tissue | places.observed)
    if contents.measured is None:
        return found
    near = cKDTree(contents.measured.spots.xy).query_ball_point(
        places.xy, _AROUND_PITCHES * contents.pitch_um, return_length=True
    )
    return np.asarray(found | (near >= _AROUND))


def _spot_of(contents: Contents) -> Array:
    """Return the row of the measured spot that a place is, −1 for places between."""
    ids = contents.prediction.locations.points.ids
    if contents.measured is None:
        return np.full(len(ids), -1, dtype=np.int32)
    row_of = {str(name): row for row, name in enumerate(contents.measured.spots.ids)}
    return np.array([row_of.get(str(name), -1) for name in ids], dtype=np.int32)


def _colours(name: str) -> str:
    """Return 256 colours of a map, as bytes of red, green, blue in base64."""
    from matplotlib import colormaps

    rgb = np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
    return base64.b64encode(rgb.tobytes()).decode("ascii")
