"""Genes as channels of an OME-Zarr image, in µm, for napari, QuPath, Vizarr and others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.io.layout import prediction_table as layout
from histosge.io.layout.raster import Raster
from histosge.prediction.factored import FactoredPrediction
from histosge.section.section import Section

from .base import AnyPrediction, WriteOptions, Writer
from .recognise import is_own_omezarr

__all__ = ["ENTRIES", "WRITER", "write"]

# side of a chunk: about 1 MB of float32, one request for a viewer
_CHUNK_PX = 512
# the smallest image of the pyramid
_SMALL_PX = 64
# viewers show the first few channels over one another; these colours add up to white
_COLOURS = ("FF00FF", "00FFFF", "FFFF00", "00FF00", "FF0000", "0000FF")
# channels that viewers show when they open the image
_SHOWN = 1
# the contrast ends at this quantile: one location in two hundred is brighter
_BRIGHT = 0.995
_LABELS = "locations"
# the version that all viewers read; 0.5 is not yet read everywhere
_VERSION = "0.4"
_AXES = (
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
)


def write(
    path: Path, section: Section, prediction: AnyPrediction, options: WriteOptions | None = None
) -> Path:
    """Write an OME-Zarr image (NGFF 0.4) and return its path.

    One channel a gene, log1p(CP10k) in float32, 0 outside the locations; a pyramid of halves in which the edge does not
    fade; scale and translation in µm, in the frame of the section's image; contrast from 0 to the value that one
    location in two hundred exceeds. In ``labels/locations`` label k is row k − 1 of the prediction. The image of one
    gene is in memory at a time. The store appears whole or not at all.

    Parameters
    ----------
    path
        The folder.
    section
        For its name and pitch.
    prediction
        Locations and values. Locations on a square grid are one pixel each; see
        :meth:`histosge.io.layout.raster.Raster.of`.
    options
        The genes: one channel each, in their order.

    Raises
    ------
    UsageError
        Where ome-zarr is not installed, for no genes or genes that were not predicted, or a path that cannot be
        written.
    DataError
        For values that are not finite.
    """
    WRITER.require()
    import zarr

    prediction = (options or WriteOptions()).select(prediction)
    genes = [str(name) for name in prediction.genes]
    if not genes:
        raise UsageError("Expected genes to make channels of, got none. Choose some with `genes`.")
    values = _values(prediction)
    raster = Raster.of(
        prediction.locations, spacing_um=layout.location_diameter_um(section, prediction.locations)
    )
    with atomic_path(path, own=is_own_omezarr) as draft:
        root = zarr.open_group(str(draft), mode="w", zarr_format=2)
        channels = _fill(root, raster, genes, values)
        _describe(root, raster, section.name, {"name": section.name, "omero": _omero(section.name, channels)})
        _write_labels(root, raster)
        root.attrs["histosge"] = json.loads(layout.as_json(prediction.provenance))
    return path


def _values(prediction: AnyPrediction) -> Callable[[str], Array]:
    """Return a function from the name of a gene to its values at all locations."""
    if isinstance(prediction, FactoredPrediction):
        return prediction.gene
    mean = prediction.mean
    return lambda gene: mean[:, prediction.columns([gene])[0]]


def _sizes(raster: Raster) -> list[tuple[int, int]]:
    """Return height and width of each level of the pyramid."""
    sizes = [raster.row.shape]
    while max(sizes[-1]) > _SMALL_PX:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    return sizes


def _array(group: Any, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    chunks = (*(1 for _ in shape[:-2]), *(min(_CHUNK_PX, side) for side in shape[-2:]))
    # NGFF 0.4 separates the indices of a chunk by slashes
    nested = {"name": "v2", "separator": "/"}
    return group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, chunk_key_encoding=nested)


def _fill(
    root: Any, raster: Raster, genes: Sequence[str], values: Callable[[str], Array]
) -> Iterator[Mapping[str, Any]]:
    """Write the channels of all levels, gene by gene; return the metadata of each channel."""
    levels = [
        _array(root, str(level), (len(genes), *size), "f4") for level, size in enumerate(_sizes(raster))
    ]
    channels = []
    for channel, gene in enumerate(genes):
        mean = np.asarray(values(gene))
        if not np.isfinite(mean).all():
            raise DataError(f"Expected finite values of '{gene}', got NaN or infinity. Predict again.")
        image, weight = raster.image(mean), raster.shown
        for array in levels:
            array[channel] = image
            image, weight = raster.halved(image, weight)
        channels.append(_channel(gene, mean, channel))
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
    """Write the metadata of the levels: their axes, and the positions of their pixels in µm."""
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
    """Write the row of the location that each pixel shows; coarser levels take every second pixel."""
    from ome_zarr.format import FormatV04
    from ome_zarr.writer import write_label_metadata

    labels = root.create_group("labels")
    group = labels.create_group(_LABELS)
    image = (raster.row + 1).astype(np.uint32)
    for level, size in enumerate(_sizes(raster)):
        _array(group, str(level), size, "u4")[:] = image
        # labels cannot be averaged
        image = image[::2, ::2]
    _describe(group, raster, _LABELS, {}, channels=False)
    write_label_metadata(labels, _LABELS, fmt=FormatV04(), source={"image": "../../"})


WRITER = Writer(
    name="omezarr",
    summary="image (NGFF 0.4) with one channel a gene, in µm: napari, QuPath, Vizarr",
    filename="prediction.ome.zarr",
    kind="folder",
    streams=True,
    write=write,
    recognises=is_own_omezarr,
    all_genes=False,
    most_genes=32,
    package="ome_zarr",
    needs_extra="spatialdata",
)
ENTRIES = (WRITER,)
