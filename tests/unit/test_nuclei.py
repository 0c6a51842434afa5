"""Nuclei found in H&E images: against images whose nuclei are known, over tiles, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from histosge.datasets import synthetic
from histosge.datasets.stained_nuclei import Drawing, NucleusImage, stained_nuclei
from histosge.errors import DataError, UsageError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.section import target
from histosge.segmentation.cells import Cells
from histosge.segmentation.nuclei import find_cells
from histosge.segmentation.rasters import painted
from histosge.segmentation.segmenters.haematoxylin import HaematoxylinNuclei

# none of them is among the settings that parameters were chosen on (benchmarks/nuclei.py)
HELD_OUT = {
    "small": (0.4, Drawing(radius_um=3.2, density_mm2=4500, haematoxylin=0.9, eosin=0.2, rotation=0.1)),
    "large": (0.8, Drawing(radius_um=5.0, density_mm2=2200, blur_um=0.6, elongation=1.3)),
    "thin": (0.3, Drawing(radius_um=2.7, density_mm2=3500, jpeg=60, elongation=1.9)),
}


def everywhere(slide: SlideImage) -> TissueMask:
    width, height = (int(np.ceil(side / 8)) for side in slide.size_um)
    return TissueMask(np.ones((height, width), dtype=bool), 8.0)


def cells_in(image: NucleusImage, **options: float) -> Cells:
    slide = SlideImage.from_array(image.rgb, image.mpp)
    return find_cells(slide, mask=everywhere(slide), **options)


@pytest.mark.parametrize("setting", HELD_OUT)
def test_nuclei_are_where_the_truth_has_them(setting: str) -> None:
    """On sizes, densities, stains and scales that nothing was chosen on, F1 at an overlap of one half is 0.85."""
    mpp, drawing = HELD_OUT[setting]
    image = stained_nuclei(150.0, mpp, drawing, seed=21)
    cells = cells_in(image)
    labels = painted(cells.nuclei, image.labels.shape, mpp=image.mpp)
    assert image.f1(labels) >= 0.85


def test_f1_counts_hits_and_misses() -> None:
    """The truth scores 1, half of its nuclei 2/3, nuclei moved away 0."""
    image = stained_nuclei(100.0, 0.5)
    numbers = np.unique(image.labels)[1:]
    half = np.where(np.isin(image.labels, numbers[: len(numbers) // 2]), image.labels, 0)
    expected = 2 * (len(numbers) // 2) / (len(numbers) + len(numbers) // 2)
    assert image.f1(image.labels) == 1.0
    assert image.f1(half) == pytest.approx(expected)
    assert image.f1(np.zeros_like(image.labels)) == 0.0


def test_the_size_of_tiles_changes_nothing() -> None:
    """Tiles of 70, 120 and 1000 µm give the same cells to the last bit, with the same ids."""
    image = stained_nuclei(230.0, 1.0, Drawing(density_mm2=4000))
    whole, *others = (cells_in(image, tile_um=tile_um) for tile_um in (1000.0, 120.0, 70.0))
    assert len(whole) > 120
    for other in others:
        assert np.array_equal(whole.xy_um, other.xy_um)
        assert shapely.equals_exact(whole.nuclei, other.nuclei, 1e-9).all()
        assert shapely.equals_exact(whole.outlines, other.outlines, 1e-9).all()


def test_cells_hold_their_nuclei_and_share_borders() -> None:
    """A cell reaches at most 5 µm beyond its nucleus, contains it, and does not overlap its neighbours."""
    cells = cells_in(stained_nuclei(120.0, 0.5, Drawing(density_mm2=5000)))
    beyond = shapely.area(shapely.difference(cells.outlines, shapely.buffer(cells.nuclei, 5.6)))
    outside = shapely.area(shapely.difference(cells.nuclei, cells.outlines))
    assert beyond.max() < 0.5
    assert outside.max() < 1.0
    assert shapely.area(shapely.union_all(cells.outlines)) > 0.995 * cells.area_um2.sum()
    assert cells.source == "nuclei"


def test_without_growth_cells_are_nuclei() -> None:
    """A growth of 0 µm leaves the outlines of the nuclei."""
    cells = cells_in(stained_nuclei(100.0, 0.5), growth_um=0.0)
    assert shapely.equals_exact(cells.nuclei, cells.outlines, 0).all()


def test_another_laboratory_s_stains_change_little() -> None:
    """Nuclei are found as well where both stains have other colours and glass is pink."""
    scores = []
    for rotation, glass in ((0.0, (1.0, 1.0, 1.0)), (0.25, (0.95, 0.86, 0.93))):
        image = stained_nuclei(130.0, 0.5, Drawing(rotation=rotation), seed=5)
        rgb = (image.rgb * np.array(glass)).astype(np.uint8)
        white = np.array([243.0, 241.0, 244.0]) * glass
        segment = HaematoxylinNuclei.of_pixels(rgb.reshape(-1, 3), white)
        scores.append(image.f1(segment(rgb, 0.5)))
    assert min(scores) > 0.9


def test_only_tissue_is_searched() -> None:
    """Where the mask has no tissue there is no cell, and the cells elsewhere are the same ones."""
    image = stained_nuclei(160.0, 0.5)
    slide = SlideImage.from_array(image.rgb, 0.5)
    mask = everywhere(slide).mask.copy()
    mask[:, 12:] = False
    half = find_cells(slide, mask=TissueMask(mask, 8.0))
    centres_um = shapely.get_coordinates(shapely.centroid(half.nuclei))
    assert len(half) > 10
    assert (centres_um[:, 0] < 12 * 8.0 + 0.5).all()


def test_dust_and_red_cells_are_no_nuclei() -> None:
    """Black dust, which absorbs all colours alike, and disks of eosin are left out."""
    image = stained_nuclei(160.0, 0.5, Drawing(density_mm2=800))
    rgb = image.rgb.copy()
    row, column = np.mgrid[: len(rgb), : len(rgb)]
    spots = np.zeros(row.shape, dtype=bool)
    for at in range(20, 300, 20):
        spot = np.hypot(row - at, column - 160) < 6
        if not image.labels[spot].any():
            spots |= spot
            rgb[spot] = (20, 20, 22) if at % 40 else (200, 60, 190)
    assert spots.sum() > 300
    labels = HaematoxylinNuclei.of_pixels(image.rgb.reshape(-1, 3), np.array([243.0, 241.0, 244.0]))(rgb, 0.5)
    assert not labels[spots].any()


@pytest.mark.parametrize("mpp", [1.1, 4.5, 10.7])
def test_too_coarse_an_image_is_refused(mpp: float) -> None:
    """The sentence names the µm per pixel that nuclei need and those that the image has."""
    slide = SlideImage.from_array(np.full((64, 64, 3), 200, dtype=np.uint8), mpp)
    with pytest.raises(UsageError, match=rf"1 µm per pixel or finer, got {mpp} µm per pixel"):
        find_cells(slide)


def test_tissue_without_nuclei_is_refused() -> None:
    """An image of eosin alone has no nuclei, which is an error and no empty result."""
    rng = np.random.default_rng(0)
    rgb = np.clip(np.array([230, 120, 200]) + rng.normal(0, 3, (120, 120, 1)), 0, 255).astype(np.uint8)
    slide = SlideImage.from_array(rgb, 0.5)
    with pytest.raises(DataError, match="found none"):
        find_cells(slide, mask=everywhere(slide))


def test_sizes_are_checked() -> None:
    """Negative growth and tiles without width are refused by name."""
    slide = SlideImage.from_array(np.full((64, 64, 3), 200, dtype=np.uint8), 0.5)
    with pytest.raises(UsageError, match="growth_um"):
        find_cells(slide, growth_um=-1.0)
    with pytest.raises(UsageError, match="no segmenter named"):
        find_cells(slide, segmenter="nucleii")


def test_nuclei_is_a_word_of_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Target(cells="nuclei")`` predicts at the cells that the segmenter finds in the section's image."""
    section = synthetic(columns=6, rows=6, genes=6).section
    outlines = shapely.buffer(shapely.points(section.spots.xy), 5.0)
    names = np.array([f"n{row}" for row in range(len(outlines))])
    called: dict[str, object] = {}

    def detected(slide: SlideImage, *, segmenter: str, mask: TissueMask) -> Cells:
        called.update(slide=slide, segmenter=segmenter, mask=mask)
        return Cells(names, section.spots.xy, outlines, outlines, source=segmenter)

    monkeypatch.setattr(target, "find_cells", detected)
    mask = target.tissue_of(section)
    locations = target.locate(section, target.Target(cells="stardist=models/he"), mask)
    assert called == {"slide": section.slide, "segmenter": "stardist=models/he", "mask": mask}
    assert locations.points.ids.tolist() == names.tolist()
    assert locations.cells is not None
    assert locations.cells.source == "stardist=models/he"


def test_a_section_is_refused_where_its_image_shows_no_nuclei() -> None:
    """Of an image of 2 µm per pixel, and of a section without image, the sentence asks for the full-resolution scan."""
    section = synthetic(columns=6, rows=6, genes=6).section
    for part, words in ((section, "got 2 µm per pixel"), (replace(section, slide=None), "has none")):
        with pytest.raises(UsageError, match=words) as caught:
            target.cells_of(part, "nuclei")
        assert "full-resolution scan as `image`" in str(caught.value)
