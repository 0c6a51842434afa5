"""Genes as channels of an OME-Zarr image, in µm, for napari, QuPath, Vizarr and others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

from . import layout
from .raster import Raster

__all__ = ["require", "write"]

_CHUNK_PX = 512
# the smallest image of the pyramid
_SMALL_PX = 64
# viewers show the first few channels over one another; these colours add up to white
_COLOURS = ("FF00FF", "00FFFF", "FFFF00", "00FF00", "FF0000", "0000FF")
_SHOWN = 1
# contrast ends where one in two hundred places is brighter
_BRIGHT = 0.995
_LABELS = "places"
# the version that all viewers read; 0.5 is not yet read everywhere
_VERSION = "0.4"
_AXES = (
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
)


def require() -> None:
    """Raise a :class:`UsageError` where ome-zarr is not installed."""
    if find_spec("ome_zarr") is None:
        raise UsageError("ome-zarr is not installed. Run: pip install 'histosge[spatialdata]'")


def write(
    path: Path, section: Section, prediction: Prediction | FactoredPrediction, *, genes: Sequence[str]
) -> Path:
    """Write an OME-Zarr image (NGFF 0.4) and return its path.

    One channel a gene, log1p(CP10k) in float32, 0 beside the places; a pyramid of halves in which the edge does not
    fade; scale and translation in µm, in the frame of the section's image; contrast from 0 to the value that one place
    in two hundred exceeds. ``labels/places`` tells the places: label k is row k − 1 of the prediction. The image of
    one gene is in memory at a time. The store appears whole or not at all.

    Parameters
    ----------
    path
        The folder.
    section
        For its name and pitch.
    prediction
        Places and values. Places on a square grid are one pixel each; see :meth:`histosge.io.writers.raster.Raster.of`.
    genes
        The channels, in this order.

    Raises
    ------
    UsageError
        Where ome-zarr is not installed, for no genes or genes that were not predicted, or a path that cannot be
        written.
    DataError
        For values that are not finite.
    """
    require()
    import zarr

    if not len(genes):
        raise UsageError("Expected genes to make channels of, got none. Give --genes.")
    values = _values(prediction, genes)
    raster = Raster.of(
        prediction.locations, spacing_um=layout.place_diameter_um(section, prediction.locations)
    )
    with atomic_path(path) as draft:
        root = zarr.open_group(str(draft), mode="w", zarr_format=2)
        channels = _fill(root, raster, genes, values)
        _describe(root, raster, section.name, {"name": section.name, "omero": _omero(section.name, channels)})
        _write_labels(root, raster)
        root.attrs["histosge"] = json.loads(layout.as_json(prediction.provenance))
    return path


def _values(prediction: Prediction | FactoredPrediction, genes: Sequence[str]) -> Callable[[str], Array]:
    """Return what gives the values of a gene everywhere; all of them are known."""
    if isinstance(prediction, FactoredPrediction):
        prediction.basis.columns(genes)
        return prediction.gene
    column_of = dict(zip(genes, prediction.columns(genes), strict=True))
    mean = prediction.mean
    return lambda gene: mean[:, column_of[gene]]


def _sizes(raster: Raster) -> list[tuple[int, int]]:
    """Return height and width of each level of the pyramid."""
    sizes = [raster.place.shape]
    while max(sizes[-1]) > _SMALL_PX:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return sizes


def _array(group: Any, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    chunks = (*(1 for _ in shape[:-2]), *(min(_CHUNK_PX, side) for side in shape[-2:]))
    nested = {"name": "v2", "separator": "/"}
    return group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, chunk_key_encoding=nested)


def _fill(
    root: Any, raster: Raster, genes: Sequence[str], values: Callable[[str], Array]
) -> Iterator[Mapping[str, Any]]:
    """Write the channels of all levels, gene by gene; return what viewers are told of each."""
    levels = [
        _array(root, str(level), (len(genes), *size), "f4") for level, size in enumerate(_sizes(raster))
    ]
    channels = []
    for channel, gene in enumerate(genes):
        found = np.asarray(values(gene))
        if not np.isfinite(found).all():
            raise DataError(f"Expected finite values of '{gene}', got NaN or infinity. Predict again.")
        image, weight = raster.image(found), raster.shown
        for array in levels:
            array[channel] = image
            image, weight = raster.halved(image, weight)
        channels.append(_channel(gene, found, channel))
    return iter(channels)


def _channel(gene: str, values: Array, number: int) -> dict[str, Any]:
    most = float(values.max())
    bright = float(np.quantile(values, _BRIGHT))
    return {
        "label": str(gene),
        "color": _COLOURS[number % len(_COLOURS)],
        "active": number < _SHOWN,
        "coefficient": 1,
        "family": "linear",
        "inverted": False,
        # a window of no width is shown as a defect
        "window": {
            "min": 0.0,
            "max": max(most, 1e-3),
            "start": 0.0,
            "end": bright if bright > 0 else max(most, 1e-3),
        },
    }


def _omero(name: str, channels: Iterator[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "version": _VERSION,
        "channels": list(channels),
        "rdefs": {"defaultT": 0, "defaultZ": 0, "model": "color"},
    }


def _describe(
    group: Any, raster: Raster, name: str, metadata: dict[str, Any], *, channels: bool = True
) -> None:
    """Tell what the levels are: their axes, and where their pixels lie in µm."""
    from ome_zarr.format import FormatV04
    from ome_zarr.writer import write_multiscales_metadata

    lead = [{"name": "c", "type": "channel"}] if channels else []
    datasets = []
    for level in range(len(_sizes(raster))):
        side_um = raster.pixel_um * 2**level
        # the middle of the first pixel of a coarser level is further inside
        first_um = raster.first_um[::-1] + (side_um - raster.pixel_um) / 2
        scale = [*(1.0 for _ in lead), side_um, side_um]
        translation = [*(0.0 for _ in lead), *(float(value) for value in first_um)]
        moves = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    write_multiscales_metadata(
        group, datasets, fmt=FormatV04(), axes=[*lead, *_AXES], name=name, metadata=metadata
    )


def _write_labels(root: Any, raster: Raster) -> None:
    """Write which place each pixel shows: the nearest pixel's at coarser levels."""
    from ome_zarr.format import FormatV04
    from ome_zarr.writer import write_label_metadata

    labels = root.create_group("labels")
    group = labels.create_group(_LABELS)
    image = (raster.place + 1).astype(np.uint32)
    for level, size in enumerate(_sizes(raster)):
        _array(group, str(level), size, "u4")[:] = image
        image = image[::2, ::2]
    _describe(group, raster, _LABELS, {}, channels=False)
    write_label_metadata(labels, _LABELS, fmt=FormatV04(), source={"image": "../../"})
