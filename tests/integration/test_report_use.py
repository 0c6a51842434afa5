"""Search, keys, swipe, regions and their files work in a real browser."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from opened_report import PREDICTION, SECTION, Opened, opened, run_folder

from histosge.geometry.polygons import read_polygons
from histosge.report import write


def test_a_lasso_gives_the_mean_that_numpy_gives(report: Opened, tmp_path: Path) -> None:
    """Mean and interval of a region are numpy's over the locations inside, also in the saved files."""
    import shapely

    report.choose("NUCLEI1")
    xy = PREDICTION.locations.xy
    middle, radius = np.median(xy, axis=0), 0.2 * np.ptp(xy, axis=0).min()
    report.page.keyboard.press("l")
    ring = [middle + radius * np.array([np.cos(a), 0.8 * np.sin(a)]) for a in np.linspace(0, 6, 30)]
    report.page.mouse.move(*report.at(ring[0]))
    report.page.mouse.down()
    for corner in ring[1:]:
        report.page.mouse.move(*report.at(corner))
    report.page.mouse.up()
    origin = np.array(report.page.evaluate("histosge.about.frame.origin"))
    drawn = np.array(report.page.evaluate("histosge.lasso.ring")) + origin
    inside = np.flatnonzero(shapely.contains_xy(shapely.Polygon(drawn), *xy.T))
    assert len(inside) > 20
    card = report.page.locator("#region")
    assert int(card.get_attribute("data-locations")) == len(inside)
    mean, sd = PREDICTION.gene("NUCLEI1"), PREDICTION.gene_sd("NUCLEI1")
    assert sd is not None
    error = report.stated("predicted values")
    assert abs(float(card.get_attribute("data-mean")) - mean[inside].mean()) <= error
    text = card.locator("dl").inner_text().split("\n")
    values = dict(zip(text[::2], text[1::2], strict=True))
    low, high = (float(word) for word in values["90 % interval"].split(" – "))
    reach = 1.6448536 * sd[inside].mean()
    assert abs(low - max(0, mean[inside].mean() - reach)) < error + 0.002
    assert abs(high - (mean[inside].mean() + reach)) < error + 0.002
    _check_table(report, inside, tmp_path, error)
    _check_border(report, drawn, tmp_path)


def saved(report: Opened, button: str, path: Path) -> Path:
    with report.page.expect_download() as waiting:
        report.page.locator(button).click()
    waiting.value.save_as(path)
    return path


def _check_table(report: Opened, inside: np.ndarray, folder: Path, error: float) -> None:
    with saved(report, "#save-csv", folder / "region.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    locations = PREDICTION.locations
    assert [row["location"] for row in rows] == locations.points.ids[inside].tolist()
    found = np.array(
        [[float(row[name]) for name in ("x_um", "y_um", "predicted_log1p_cp10k")] for row in rows]
    )
    assert np.abs(found[:, :2] - locations.xy[inside]).max() < 0.01
    assert np.abs(found[:, 2] - PREDICTION.gene("NUCLEI1")[inside]).max() <= error + 0.00006
    assert [row["domain"] for row in rows] == [
        "in" if PREDICTION.scores[row, 0] > 0 else "out" for row in inside
    ]
    assert [bool(row["measured_log1p_cp10k"]) for row in rows] == locations.observed[inside].tolist()


def _check_border(report: Opened, drawn: np.ndarray, folder: Path) -> None:
    path = saved(report, "#save-geojson", folder / "region.geojson")
    (region,) = read_polygons(path, mpp=SECTION.mpp)
    assert np.abs(region.exterior[:-1] - drawn).max() < 0.01
    assert json.loads(path.read_text())["features"][0]["properties"]["objectType"] == "annotation"


def test_the_swipe_shows_measured_left_and_predicted_right(report: Opened) -> None:
    """Each side of the divider shows its layer; dragging moves the divider."""
    report.choose("TUMOUR1")
    clips = {
        "left": {"x": 330, "y": 300, "width": 100, "height": 140},
        "right": {"x": 560, "y": 300, "width": 100, "height": 140},
    }
    alone = {}
    for key, side in (("p", "right"), ("m", "left")):
        report.page.keyboard.press(key)
        report.page.wait_for_timeout(150)
        alone[side] = report.seen(**clips[side])
    report.page.keyboard.press("c")
    report.page.wait_for_timeout(150)
    for side, clip in clips.items():
        assert np.abs(report.seen(**clip) - alone[side]).max() <= 2, side
    handle = report.page.locator("#divider i").bounding_box()
    y = handle["y"] + handle["height"] / 2
    report.page.mouse.move(handle["x"] + 14, y)
    report.page.mouse.down()
    report.page.mouse.move(report.page.locator("#stage").bounding_box()["x"] + 720, y, steps=4)
    report.page.mouse.up()
    report.page.mouse.move(5, 5)
    assert np.abs(report.seen(**clips["right"]) - alone["right"]).max() > 20
    report.page.locator("#divider").focus()
    before = report.page.evaluate("histosge.state.split")
    report.page.keyboard.press("ArrowLeft")
    assert report.page.evaluate("histosge.state.split") < before


def test_everything_can_be_done_with_keys(report: Opened) -> None:
    """Search, layers, zoom, pan, region and panel work without a mouse."""
    page = report.page
    page.keyboard.press("/")
    page.keyboard.type("immune3")
    page.keyboard.press("Enter")
    report.until("document.getElementById('gene-name').textContent === 'IMMUNE3'")
    # a gene chosen, keys are the page's again
    for key, layer in (("m", "measured"), ("u", "uncertainty"), ("d", "domains"), ("p", "predicted")):
        page.keyboard.press(key)
        assert page.locator(f"#layer-{layer}").get_attribute("aria-checked") == "true"
    view = page.evaluate("histosge.stage.view()")
    page.keyboard.press("+")
    page.wait_for_timeout(800)
    assert page.evaluate("histosge.stage.view().scale") > 1.3 * view["scale"]
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(800)
    page.keyboard.press("0")
    page.wait_for_timeout(800)
    assert abs(page.evaluate("histosge.stage.view().scale") / view["scale"] - 1) < 0.01
    page.keyboard.press("v")
    assert int(page.locator("#region").get_attribute("data-locations")) > 100
    page.keyboard.press("Escape")
    assert page.locator("#region").is_hidden()
    page.keyboard.press("i")
    assert page.locator("#about-run").is_visible()
    assert page.locator("#calibration-chart circle.done").count() == 3
    assert page.locator("#accuracy-chart .bar-all").count() > 10
    page.keyboard.press("Tab")
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"


def test_all_controls_have_names(report: Opened) -> None:
    """Every button, field and list has an accessible name."""
    nameless = report.page.evaluate(
        """[...document.querySelectorAll('button, input, select, [role]')].filter((element) => !(
          element.getAttribute('aria-label') || element.textContent.trim() || element.closest('label')
          || ['status', 'option'].includes(element.getAttribute('role')))).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_an_unknown_gene_has_near_misses(report: Opened) -> None:
    """The search offers near misses, and Enter does not change the gene."""
    shown = report.page.locator("#gene-name").inner_text()
    report.page.locator("#search").fill("tumuor1")
    assert "Did you mean TUMOUR1" in report.page.locator("#no-gene").inner_text()
    report.page.keyboard.press("Enter")
    assert report.page.locator("#gene-name").inner_text() == shown


def test_ensembl_ids_match_in_any_version(browser: Any, tmp_path: Path) -> None:
    """A section named by Ensembl ids says so to a symbol; an id finds its gene with another version or none."""
    ids = np.array([f"ENSG{number:011d}.{number % 4 + 1}" for number in range(len(SECTION.genes))])
    folder = run_folder(
        tmp_path / "run",
        replace(SECTION, genes=ids),
        replace(PREDICTION, basis=replace(PREDICTION.basis, genes=ids)),
    )
    found = opened(browser, write(folder))
    search, first = found.page.locator("#search"), found.page.locator(".gene .name").first
    search.fill("MBP")
    values = found.page.locator("#no-gene").inner_text()
    assert f"Ensembl id, as {ids[0]}" in values
    for typed in ("ENSG00000000007.9", "ensg00000000007", "ENSG00000000007.4"):
        search.fill(typed)
        assert first.inner_text() == "ENSG00000000007.4"
    search.fill("ENSG00000000099")
    assert "Ensembl" not in found.page.locator("#no-gene").inner_text()
    found.page.context.close()


def test_opening_the_panel_keeps_the_whole_section_in_view(report: Opened) -> None:
    """The whole section stays visible in a narrower window; a zoomed view keeps its centre."""
    page = report.page

    def middle() -> np.ndarray:
        stage = report.box("#stage")
        at = "([x, y]) => histosge.stage.toMicrometres(x, y)"
        return np.array(page.evaluate(at, [stage["width"] / 2, stage["height"] / 2]))

    def inside() -> bool:
        stage = report.box("#stage")
        xy = np.array([report.at(corner) for corner in PREDICTION.locations.xy[::50]]) - (
            stage["x"],
            stage["y"],
        )
        return bool((xy > 0).all() and (xy < (stage["width"], stage["height"])).all())

    assert inside()
    scale = page.evaluate("histosge.stage.view().scale")
    page.set_viewport_size({"width": 900, "height": 860})
    page.wait_for_timeout(400)
    assert inside()
    assert page.evaluate("histosge.stage.view().scale") < scale
    page.keyboard.press("+")
    page.wait_for_timeout(800)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(800)
    before = middle()
    page.set_viewport_size({"width": 1280, "height": 860})
    page.wait_for_timeout(400)
    assert np.abs(middle() - before).max() < 3
    assert not inside()


def test_genes_are_sorted_by_accuracy_and_searched(report: Opened) -> None:
    """Genes can be sorted by accuracy, unknown last; names that start with the query come first."""
    page = report.page
    r_loo = PREDICTION.basis.r_loo
    page.locator("#sort").select_option("r_loo")
    names = page.locator(".gene .name").all_inner_texts()
    order = np.argsort(-np.nan_to_num(r_loo, nan=-9), kind="stable")
    assert names[:6] == SECTION.genes[order][:6].tolist()
    assert page.locator(".gene .number").first.inner_text() == f"{np.nanmax(r_loo):.2f}"
    page.locator("#search").fill("e")
    found = page.locator(".gene .name").all_inner_texts()
    assert found
    assert all("E" in name for name in found)
    page.locator("#search").fill("une1")
    assert page.locator(".gene .name").first.inner_text() == "IMMUNE1"


def test_a_gene_says_whether_single_cells_are_reliable(browser: Any, tmp_path: Path) -> None:
    """At cells each gene is reliable cell by cell, as a map of 50 µm, or neither; other pages say nothing of it."""
    folder, g = tmp_path / "run", len(SECTION.genes)
    shares = {
        "cell": [0.7, 0.6, 0.1, np.nan, 0.7],
        "own": [0.6, 0.2, 0.1, 0.5, 0.7],
        "50um": [0.8, 0.6, 0.3, 0.5, 0.7],
    }
    columns = {f"reliability_{name}": np.resize(values, g) for name, values in shares.items()}
    grade = np.resize(["fair", "strong", "strong", "strong", "weak"], g)
    basis = replace(PREDICTION.basis, **columns, grade=grade, r_loo=np.full(g, 0.5))
    found = opened(browser, write(run_folder(folder, SECTION, replace(PREDICTION, basis=basis))))
    words = [
        "Reliable cell by cell.",
        "as a map of 50 µm, not cell by cell.",
        "neither cell by cell",
        "fit",
        "neither",
    ]
    for gene, expected in zip(SECTION.genes[:5], words, strict=True):
        found.choose(str(gene))
        text = found.page.locator("#accuracy-text").inner_text()
        assert expected in text
        assert ("cell by cell" in text) == (expected != "fit")
    found.page.context.close()
