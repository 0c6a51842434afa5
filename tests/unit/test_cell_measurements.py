"""What is measured of cells: geometry by hand, stains of a drawn image, tiles, cells of any source."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from histosge.datasets.stained_nuclei import Drawing, stained_nuclei
from histosge.errors import DataError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.segmentation import measure as module
from histosge.segmentation.cells import Cells
from histosge.segmentation.measure import MEASUREMENTS, measure
from histosge.segmentation.nuclei import find_cells
from histosge.segmentation.rasters import painted


@pytest.fixture(scope="module")
def slide() -> SlideImage:
    return SlideImage.from_array(stained_nuclei(150.0, 0.5, Drawing(density_mm2=3000)).rgb, 0.5)


@pytest.fixture(scope="module")
def mask(slide: SlideImage) -> TissueMask:
    return TissueMask(np.ones((19, 19), dtype=bool), 8.0)


@pytest.fixture(scope="module")
def cells(slide: SlideImage, mask: TissueMask) -> Cells:
    return find_cells(slide, mask=mask)


def test_shapes_are_those_of_the_outlines(slide: SlideImage, mask: TissueMask) -> None:
    """A rectangle of 12 × 4 µm has its area, perimeter, sides and ratio; a cell without nucleus has NaN for it."""
    outlines = np.array([shapely.box(20, 20, 32, 24), shapely.box(60, 20, 64, 32)])
    nuclei = np.array([shapely.box(22, 21, 25, 23), None])
    cells = Cells(np.array(["a", "b"]), np.array([[26.0, 22.0], [62.0, 26.0]]), outlines, nuclei)
    table = measure(cells, slide, mask=mask)
    assert table["Cell: Area µm^2"].tolist() == [48.0, 48.0]
    assert table["Cell: Perimeter µm"].tolist() == [32.0, 32.0]
    assert table["Cell: Solidity"].tolist() == [1.0, 1.0]
    assert table.loc["a", "Nucleus: Length µm"] == pytest.approx(3.0)
    assert table.loc["a", "Nucleus: Width µm"] == pytest.approx(2.0)
    assert table.loc["a", "Cell: Circularity"] == pytest.approx(4 * np.pi * 48 / 32**2)
    assert table.loc["a", "Nucleus/Cell area ratio"] == pytest.approx(6 / 48)
    assert table.loc["a", "Nearest neighbour µm"] == pytest.approx(np.hypot(36, 4))
    assert table["Neighbours within 50 µm"].tolist() == [1.0, 1.0]
    nuclear = [name for name in MEASUREMENTS if name.startswith("Nucleus")]
    assert table.loc["b", nuclear].isna().all()
    assert not table.loc["a"].isna().any()


def test_stains_are_those_of_the_pixels(cells: Cells, slide: SlideImage, mask: TissueMask) -> None:
    """Means over painted pixels of the whole image are the means that tiles add up to."""
    from histosge.segmentation.stain import estimate_stains, sampled_pixels

    table = measure(cells, slide, mask=mask)
    stains = estimate_stains(*sampled_pixels(slide, mask, 0.5))
    rgb = slide.thumbnail(0.5)
    blue = stains.unmixed(rgb)[0]
    labels = painted(cells.nuclei, blue.shape, mpp=0.5)
    for row in (0, len(cells) // 2, len(cells) - 1):
        inside = blue[labels == row + 1]
        assert table["Nucleus: Hematoxylin OD mean"].iloc[row] == pytest.approx(inside.mean(), abs=1e-4)
        assert table["Nucleus: Hematoxylin OD std dev"].iloc[row] == pytest.approx(inside.std(), abs=1e-3)
    # nuclei have more haematoxylin than the cells around them
    assert (table["Nucleus: Hematoxylin OD mean"] > table["Cell: Hematoxylin OD mean"]).mean() > 0.95
    assert table.dtypes.unique().tolist() == [np.dtype("float32")]
    assert list(table.columns) == list(MEASUREMENTS)


def test_the_size_of_tiles_changes_no_measurement(
    cells: Cells, slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of 40 µm give what one tile gives, up to rounding."""
    whole = measure(cells, slide, mask=mask)
    monkeypatch.setattr(module, "_TILE_UM", 40.0)
    parts = measure(cells, slide, mask=mask)
    np.testing.assert_allclose(whole.to_numpy(), parts.to_numpy(), rtol=1e-4, atol=1e-4)


def test_order_and_ids_are_those_of_the_cells(cells: Cells, slide: SlideImage, mask: TissueMask) -> None:
    """Cells in another order give the same rows in that order."""
    backwards = cells.take(np.arange(len(cells))[::-1])
    table, other = measure(cells, slide, mask=mask), measure(backwards, slide, mask=mask)
    assert other.index.tolist() == backwards.ids.tolist()
    np.testing.assert_allclose(table.loc[other.index].to_numpy(), other.to_numpy(), rtol=0.05, atol=0.05)


def test_cells_off_the_image_have_shapes_but_no_colour(slide: SlideImage, mask: TissueMask) -> None:
    """A cell beyond the edge is measured by its outline; its stains are NaN and not those of mirrored pixels."""
    outlines = np.array([shapely.box(400, 400, 410, 410), shapely.box(-30, 20, -20, 30)])
    cells = Cells(np.array(["far", "left"]), np.array([[405.0, 405.0], [-25.0, 25.0]]), outlines)
    table = measure(cells, slide, mask=mask)
    assert table["Cell: Area µm^2"].tolist() == [100.0, 100.0]
    assert table["Cell: Hematoxylin OD mean"].isna().all()


def test_holes_and_pieces_are_painted() -> None:
    """A hole stays empty, both pieces of a multipolygon are painted, and ``None`` paints nothing."""
    ring = shapely.box(0, 0, 8, 8).difference(shapely.box(2, 2, 6, 6))
    pieces = shapely.MultiPolygon([shapely.box(10, 0, 12, 2), shapely.box(14, 0, 16, 2)])
    labels = painted(np.array([ring, None, pieces]), (8, 16), mpp=1.0)
    assert np.bincount(labels.ravel()).tolist() == [8 * 16 - 48 - 8, 48, 0, 8]


def test_centroids_alone_are_refused(slide: SlideImage) -> None:
    """Without outlines there is nothing to measure."""
    with pytest.raises(DataError, match="outlines"):
        measure(Cells(np.array(["a"]), np.array([[5.0, 5.0]])), slide)
