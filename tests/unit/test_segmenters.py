"""Segmenters of other packages: what they are given, and what is said where they or their weights are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import shapely

from histosge.errors import DataError, UsageError, WeightsError
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.segmentation.nuclei import find_cells
from histosge.segmentation.segmenters import SEGMENTERS, base

OTHERS = ("cellpose", "instanseg", "stardist")
# dark squares of 8 µm on a light image of 0.5 µm per pixel, one of them on the seam of two tiles
CORNERS = [(20, 20), (92, 60), (150, 150)]


@pytest.fixture
def slide() -> SlideImage:
    rgb = np.full((200, 200, 3), 220, dtype=np.uint8)
    for row, column in CORNERS:
        rgb[row : row + 16, column : column + 16] = 40
    return SlideImage.from_array(rgb, 0.5)


@pytest.fixture
def mask() -> TissueMask:
    return TissueMask(np.ones((13, 13), dtype=bool), 8.0)


def dark_squares(rgb: Any) -> Any:
    from scipy.ndimage import label

    return label(np.asarray(rgb)[..., 0] < 0.5 * np.asarray(rgb).max())[0]


def pretended(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> None:
    """Install modules of these contents for the length of a test."""
    monkeypatch.setattr(base, "find_spec", lambda name: object())
    for name, content in modules.items():
        module = ModuleType(name.replace("__", "."))
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_installed_is_refused(
    name: str, slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segmenter of another package that is not installed is refused by the package's name."""
    monkeypatch.setattr(base, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=f"needs the package '{name}', which is not installed"):
        find_cells(slide, segmenter=name, mask=mask)


@pytest.mark.parametrize("name", OTHERS)
def test_missing_weights_are_no_reason_to_download(
    name: str, slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a path of weights, or with one where there are none, the sentence says what they are."""
    pretended(monkeypatch)
    for segmenter in (name, f"{name}={tmp_path / 'absent'}"):
        with pytest.raises(WeightsError, match="Nothing is downloaded"):
            find_cells(slide, segmenter=segmenter, mask=mask)


def test_stardist_is_called_as_documented(
    slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model is loaded from its folder, gets normalised tiles, and its labels become cells."""
    made: list[Any] = []

    class StarDist2D:
        def __init__(self, config: None, *, name: str, basedir: str) -> None:
            made.append((config, name, basedir))

        def predict_instances(self, image: Any) -> Any:
            return dark_squares(image), {}

    pretended(
        monkeypatch,
        stardist={},
        stardist__models={"StarDist2D": StarDist2D},
        csbdeep={},
        csbdeep__utils={"normalize": lambda image, low, high, axis: image / 255},
    )
    folder = tmp_path / "he"
    folder.mkdir()
    cells = find_cells(slide, segmenter=f"stardist={folder}", mask=mask, tile_um=50.0)
    assert made == [(None, "he", str(tmp_path.resolve()))]
    assert cells.source == "stardist"
    centres_um = shapely.get_coordinates(shapely.centroid(cells.nuclei))
    assert np.allclose(centres_um, [(column / 2 + 4, row / 2 + 4) for row, column in CORNERS], atol=0.01)


def test_cellpose_is_called_as_documented(
    slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A model is loaded by its full path; the first of three values is the labels."""
    made: list[str] = []

    class CellposeModel:
        def __init__(self, *, gpu: bool, pretrained_model: str) -> None:
            made.append(pretrained_model)

        def eval(self, image: Any) -> Any:
            return dark_squares(image), [], []

    pretended(monkeypatch, cellpose={}, cellpose__models={"CellposeModel": CellposeModel})
    weights = tmp_path / "model"
    weights.write_bytes(b"weights")
    assert len(find_cells(slide, segmenter=f"cellpose={weights}", mask=mask)) == len(CORNERS)
    assert made == [str(weights.resolve())]


def test_instanseg_is_called_as_documented(
    slide: SlideImage, mask: TissueMask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A loaded module is handed over, so that no name is downloaded, with the µm per pixel of the tile."""
    seen: list[Any] = []

    class InstanSeg:
        def __init__(self, model: Any, *, verbosity: int) -> None:
            seen.append(model)

        def eval_small_image(self, image: Any, pixel_size: float) -> Any:
            seen.append(pixel_size)
            return dark_squares(image)[None, None], None

    jit = SimpleNamespace(load=lambda path, map_location: ("module", path))
    pretended(monkeypatch, instanseg={"InstanSeg": InstanSeg}, torch={"jit": jit})
    weights = tmp_path / "instanseg.pt"
    weights.write_bytes(b"weights")
    assert len(find_cells(slide, segmenter=f"instanseg={weights}", mask=mask)) == len(CORNERS)
    assert seen == [("module", str(weights)), 0.5]


def test_a_nucleus_at_a_seam_counts_once(slide: SlideImage, mask: TissueMask) -> None:
    """Where a segmenter shifts outlines from tile to tile, a nucleus at the seam is neither doubled nor lost."""
    calls: list[int] = []

    def segment(rgb: Any, mpp: float) -> Any:
        calls.append(1)
        return np.roll(dark_squares(rgb), len(calls) % 3 - 1, axis=0)

    card = base.SegmenterCard("shifting", "", 0.5, 1.0, 10.0, "", "")
    entries = {"shifting": base.Segmenter(card, lambda *_: base.locked(segment))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("histosge.segmentation.nuclei.SEGMENTERS", entries)
        assert len(find_cells(slide, segmenter="shifting", mask=mask, tile_um=50.0)) == len(CORNERS)
    assert len(calls) == 4


def test_labels_of_another_size_are_refused() -> None:
    """A segmenter whose labels are not as large as its tile would put every nucleus at a wrong position."""
    segment = base.locked(lambda rgb, mpp: np.zeros((5, 5), dtype=int))
    with pytest.raises(DataError, match="labels"):
        segment(np.zeros((10, 10, 3), dtype=np.uint8), 0.5)


def test_cards_are_complete() -> None:
    """Every segmenter states its scale, licence and citation; those of other packages, what their weights are."""
    assert set(OTHERS) < set(SEGMENTERS)
    for segmenter in SEGMENTERS.values():
        card = segmenter.card
        assert 0 < card.mpp <= card.coarsest_mpp
        assert card.licence
        assert card.citation
        assert bool(card.weights) == bool(card.package)


def test_weights_for_what_has_none_are_refused(slide: SlideImage, mask: TissueMask) -> None:
    """``nuclei=PATH`` is a mistake, and said."""
    with pytest.raises(UsageError, match="has no weights"):
        find_cells(slide, segmenter="nuclei=model.pt", mask=mask)
