"""The slider of widths: means over disks in the page are those of Python, and what is not known is grey."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_report import Opened, opened

import histosge as hs
from histosge.models import saving
from histosge.models.cokriging.area_means import area_variances
from histosge.models.gene_order import as_fitted
from histosge.prediction.effective_resolution import EffectiveResolution
from histosge.report import write
from histosge.report.area_means import AreaMeans, disk_averages
from histosge.report.contents import collect
from histosge.report.stored_features import stored_features

SECTION = hs.synthetic(columns=10, rows=10, genes=12, support="disk").section
WIDTH = 150.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its report."""
    path = tmp_path_factory.mktemp("widths") / "run"
    hs.run(SECTION, hs.Recipe("cokriging", genes="all"), out=path, outputs=hs.Outputs(figures=False))
    write(path)
    return path


@pytest.fixture
def page(browser: Any, folder: Path) -> Opened:
    return opened(browser, folder / "report.html")


def in_python(folder: Path) -> tuple[EffectiveResolution, np.ndarray]:
    """The same from the fit, without packing; and the means of one gene."""
    contents = collect(folder)
    means, prediction = contents.means, contents.prediction
    assert isinstance(means, AreaMeans)
    key = json.loads((folder / "run.json").read_text())["fit_key"]
    predictor = as_fitted(saving.load(folder / "fit" / key)[1])
    inputs = stored_features(folder / "features", predictor, prediction)
    assert inputs is not None
    spacing = np.median(
        np.sort(np.linalg.norm(prediction.locations.xy[:, None] - prediction.locations.xy, axis=2))[:, 1]
    )
    averages = [
        disk_averages(prediction.locations.xy, width, spacing, contents.shown)
        for width in (WIDTH, means.spot_um)
    ]
    scores = [average @ prediction.scores for average in averages]
    spread = [(part @ prediction.basis.loadings.T)[contents.shown].var(axis=0) for part in scores]
    variances = np.array(area_variances(predictor, inputs, averages))[:, contents.shown]
    at = means.widths_um.index(WIDTH)
    return EffectiveResolution(
        prediction.genes,
        (WIDTH,),
        prediction.locations.take(contents.shown),
        (spread[0] / spread[1])[None],
        variances,
        squared_loadings=prediction.basis.loadings.astype(float) ** 2,
        unexplained=means.unexplained,
        fine_share=np.array([means.fine_share[at]]),
    ), contents.shown


def test_means_of_the_page_are_those_of_the_fit(page: Opened, folder: Path) -> None:
    """Reliability and standard deviation of each location, gene by gene, to what packing costs."""
    resolution, shown = in_python(folder)
    error = page.stated("variance explained of means")
    assert error < 0.05
    page.page.evaluate(
        "(width) => histosge.update({ width: histosge.about.means.widths_um.indexOf(width) + 1 })", WIDTH
    )
    known = 0
    for gene in resolution.genes[:6]:
        page.choose(str(gene))
        found = page.page.evaluate(
            "histosge.now.means.reliability && Array.from(histosge.now.means.reliability)"
        )
        if found is None:
            assert np.isnan(resolution.reliability_at(gene, WIDTH)).all()
            continue
        known += 1
        difference = np.abs(np.array(found)[shown] - resolution.reliability_at(gene, WIDTH))
        assert np.quantile(difference, 0.99) <= 1.5 * error + 0.01
        sd = np.array(page.page.evaluate("Array.from(histosge.now.means.sd)"))[shown]
        np.testing.assert_allclose(sd, resolution.sd_at(gene, WIDTH), rtol=0.1, atol=0.01)
    assert known >= 3
    assert page.messages == []


def test_a_wider_disk_is_smoother_and_the_slider_follows_keys(page: Opened) -> None:
    """Values at the first position are the prediction; each wider disk varies less; words say how much is known."""
    spread = ["Array.from(histosge.now.means ? histosge.now.means.values : histosge.now.predicted)"]
    page.choose("NUCLEI1")
    before = np.array(page.page.evaluate(spread[0]))
    page.page.locator("#width").focus()
    found = [before.std()]
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
        page.page.wait_for_timeout(150)
        found.append(np.array(page.page.evaluate(spread[0])).std())
    assert found[0] > found[-1]
    assert page.page.locator("#width").get_attribute("aria-valuetext").endswith(" µm")
    assert "NUCLEI1 is" in page.page.locator("#width-text").inner_text()
    assert "mean over" in page.page.locator("#gene-layer").inner_text()
    assert "&width=" in page.page.url
    page.page.locator("#stage").focus()
    page.page.evaluate("histosge.update({ second: 1, width: 0 })")
    assert "one gene" in page.page.locator("#width-text").inner_text()
    page.page.keyboard.press("]")
    assert page.page.evaluate("histosge.state.width") == 0
    page.page.evaluate("histosge.update({ second: -1, width: 3 })")
    for _ in range(3):
        page.page.keyboard.press("[")
        page.page.wait_for_timeout(150)
    assert page.page.locator("#width").get_attribute("aria-valuetext") == "as predicted"
    np.testing.assert_array_equal(np.array(page.page.evaluate(spread[0])), before)


def test_locations_that_are_not_known_are_grey(page: Opened) -> None:
    """A location is grey where less than half is explained; the legend says so, and the tip why."""
    page.page.evaluate("histosge.update({ width: 1, opacity: 1 })")
    page.page.evaluate(
        "histosge.now.means.reliability.fill(0); histosge.now.means.known = 0; histosge.update({})"
    )
    pixels = page.painted()
    painted = pixels[pixels[..., 3] == 255][:, :3]
    assert len(painted) > 1000
    assert (painted == 0x8B).all()
    assert "not known at" in page.page.locator("#legend-main").inner_text()
    words = page.point(SECTION.spots.xy[len(SECTION) // 2])
    assert words["explained"].endswith("not known")
    low, high = (float(word) for word in words["90 % interval"].split(" – "))
    assert low < high


def test_a_missing_fit_is_named(folder: Path, tmp_path: Path) -> None:
    """Without the fit, or without its image features, the page says why it has no slider; the rest is as before."""
    for name, reason in {
        "fit": "the fit of this run is not in its folder",
        "features": "the image features",
    }.items():
        copy = tmp_path / name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(name))
        page = write(copy).read_text(encoding="utf-8")
        assert f"Means over wider areas cannot be shown: {reason}" in page
        assert 'id="width"' not in page


def test_disks_are_means() -> None:
    """Weights sum to 1; a disk as wide as the spacing is its own location; off the tissue is in no other's disk."""
    xy = np.array([(x, y) for x in range(0, 500, 50) for y in range(0, 500, 50)], dtype=float)
    shown = xy[:, 0] > 100
    narrow, wide = (disk_averages(xy, width, 50.0, shown) for width in (50.0, 200.0))
    np.testing.assert_allclose(narrow.toarray(), np.eye(100))
    np.testing.assert_allclose(wide.sum(axis=1), 1)
    inner = wide[55].toarray().ravel()
    assert np.linalg.norm(xy[inner > 0] - xy[55], axis=1).max() < 125
    # as many as fit into the disk
    assert 1 / inner.max() == pytest.approx(np.pi / 4 * 200**2 / 50**2, rel=0.15)
    off = wide.toarray()[:, ~shown]
    assert (off[shown] == 0).all()
