"""Outlines of cells come through files and label images as they are."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histosge.segmentation.label_outlines import label_outlines, traced
from histosge.segmentation.label_rows import of_array
from histosge.segmentation.sources import CellOptions, read_cells

corners = st.tuples(
    st.integers(3, 12),
    st.floats(8, 40),
    st.floats(0, 2000),
    st.floats(0, 2000),
    st.integers(0, 2**32 - 1),
)


def star(number: int, radius: float, x: float, y: float, seed: int) -> shapely.Polygon:
    """A polygon whose corners are seen from its centre in turn, rounded as QuPath rounds."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, number, endpoint=False)
    length = radius * rng.uniform(0.6, 1.0, number)
    xy = np.array([x, y]) + np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    return shapely.Polygon(xy.round(2))


@settings(max_examples=15, deadline=None)
@given(st.lists(corners, min_size=1, max_size=5), st.floats(0.2, 0.9))
def test_random_outlines_come_back_to_a_hundredth_of_a_pixel(
    stars: list[tuple[int, float, float, float, int]], mpp: float
) -> None:
    """Whatever their number of corners, position and scale."""
    shapes = [star(*values) for values in stars]
    content = [
        {"type": "Feature", "id": str(k), "geometry": shapely.geometry.mapping(shape), "properties": {}}
        for k, shape in enumerate(shapes)
    ]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # overlaps, and sizes of few cells, are said
        warnings.simplefilter("ignore")
        path = Path(folder) / "cells.geojson"
        path.write_text(json.dumps(content))
        cells = read_cells(path, CellOptions(mpp))
    assert cells.outlines is not None
    back = shapely.transform(cells.outlines, lambda xy: xy / mpp)
    assert shapely.hausdorff_distance(back, np.array(shapes)).max() < 0.01


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_outlines_of_labels_have_the_area_of_their_pixels(image: np.ndarray) -> None:
    """Holes, pieces, pixels that touch at a corner, labels at the border: each valid, painted again equal."""
    labels = np.unique(image[image > 0])
    if not len(labels):
        return
    shapes = traced(image, labels.astype(np.int64))
    assert shapely.is_valid(shapes).all()
    rows, columns = np.indices(image.shape) + 0.5
    painted = np.zeros(image.shape)
    for label, shape in zip(labels, shapes, strict=True):
        assert shape.area == (image == label).sum()
        painted[shapely.contains_xy(shape, columns, rows)] = label
    assert np.array_equal(painted, image)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_outlines_do_not_depend_on_the_band_they_begin_in(seed: int, shift: int) -> None:
    """Cells across the border of two bands of rows are whole."""
    rng = np.random.default_rng(seed)
    image = np.zeros((560, 30), dtype=np.uint32)
    for label, top in enumerate(range(490, 540, 8), start=1):
        image[top - shift : top + int(rng.integers(1, 7)), 2 : int(rng.integers(4, 28))] = label * 1000
    labels, shapes, large = label_outlines(of_array(image, Path("a.npy"))[0], largest_px=100)
    assert not len(large)
    assert np.array_equal(labels, np.unique(image[image > 0]))
    assert [shape.area for shape in shapes] == [(image == label).sum() for label in labels]
