"""The report in a real browser, opened from disk, shows the values of the files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_report import PREDICTION, SECTION, Opened, opened, record, run_folder, shown_locations

import histosge as hs
from histosge.io.writers import factors, h5ad
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.report import write
from histosge.section.expression import log_cp10k


def test_it_opens_from_disk_without_messages(report: Opened) -> None:
    """The console has no message, the file is the only request, and the first paint takes less than two seconds."""
    report.page.keyboard.press("u")
    report.page.keyboard.press("c")
    report.page.wait_for_timeout(200)
    assert report.messages == []
    assert [url for url in report.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in report.requests) == 1
    paint = report.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2000


def test_each_gene_has_its_own_picture(report: Opened) -> None:
    """Choosing a gene changes the pixels; choosing the first again brings them back."""
    report.choose("ZONE1")
    one = report.painted()
    report.choose("TUMOUR1")
    two = report.painted()
    report.choose("ZONE1")
    assert (one != two).any(axis=2).mean() > 0.05
    assert np.array_equal(report.painted(), one)
    assert report.page.locator("#gene-name").inner_text() == "ZONE1"


def test_colours_follow_the_values(report: Opened) -> None:
    """Painted colours are matplotlib's viridis of the predicted values."""
    from matplotlib import colormaps

    report.choose("STROMA1")
    report.page.evaluate("histosge.update({ opacity: 1 })")
    values = PREDICTION.gene("STROMA1")
    low, high = legend_ends(report)
    pixels = report.painted()
    box = report.page.locator("#stage").bounding_box()
    for row in shown_locations()[::9]:
        x, y = report.at(PREDICTION.locations.xy[row])
        found = pixels[int(y - box["y"]), int(x - box["x"]), :3].astype(float)
        share = np.clip((values[row] - low) / (high - low), 0, 1)
        assert np.abs(found - 255 * np.array(colormaps["viridis"](share)[:3])).max() < 12


def legend_ends(report: Opened) -> tuple[float, float]:
    """Return the values that the ends of the colours stand for."""
    ticks = report.page.locator("#legend-main .ticks span").all_inner_texts()
    return float(ticks[0].strip("≤\u202f")), float(ticks[2].strip("≥\u202f"))


def test_the_ends_of_the_legend_mark_values_beyond(report: Opened) -> None:
    """The ends are marked ≤ and ≥ only where values lie beyond them."""
    measured = log_cp10k(SECTION.counts).toarray()
    for column in (3, 20):
        gene, found = str(SECTION.genes[column]), {}
        report.choose(gene)
        for layer, values in (("predicted", PREDICTION.gene(gene)), ("measured", measured[:, column])):
            report.page.evaluate("(layer) => histosge.update({ layer })", layer)
            first, _, last = report.page.locator("#legend-main .ticks span").all_inner_texts()
            low, high = legend_ends(report)
            digits = len(last.split(".")[1])
            found[layer] = first.startswith("≤"), last.startswith("≥")
            assert found[layer] == (
                round(float(values.min()), digits) < low,
                round(float(values.max()), digits) > high,
            )
        assert found["measured"][1]


def test_the_first_screen_states_what_was_measured_and_predicted(report: Opened) -> None:
    """Three lines with the numbers of the run, and a button for details, are visible when the page opens."""
    terms = report.page.locator("#headline dt").all_inner_texts()
    measured, generated, checked = report.page.locator("#headline dd").all_inner_texts()
    assert terms == ["Measured", "Predicted", "Accuracy"]
    assert measured == f"{len(SECTION)} spots of 55\u00a0µm, 100\u00a0µm apart"
    assert generated == f"{len(PREDICTION)} locations × {len(SECTION.genes)} genes (model: cokriging)"
    r_loo = PREDICTION.basis.r_loo
    known = np.isfinite(r_loo).sum()
    assert checked == f"at spots left out: r ≥\u00a00.5 for {(r_loo >= 0.5).sum()} of {known} expressed genes"
    button = report.page.locator("#about-more")
    assert button.inner_text().startswith("Accuracy and limits · 1 warning")
    box = report.box("#about-more")
    assert box["y"] + box["height"] < 860
    button.click()
    assert report.page.locator("#about-run").is_visible()
    assert "3.4 pixels" in report.page.locator("#about-run .warning").inner_text()


def test_no_word_of_a_chart_is_cut_off(report: Opened) -> None:
    """All text of both charts is inside them and does not overlap."""
    report.page.keyboard.press("i")
    for chart in ("#accuracy-chart", "#calibration-chart"):
        frame = report.box(f"{chart} svg")
        boxes = [text.bounding_box() for text in report.page.locator(f"{chart} text").all()]
        assert len(boxes) > 5
        for box in boxes:
            assert frame["x"] <= box["x"] + 0.5
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 0.5
            assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 0.5
        assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two boxes overlap by more than their borders."""
    return all(
        one[start] + one[size] > other[start] + 1 and other[start] + other[size] > one[start] + 1
        for start, size in (("x", "width"), ("y", "height"))
    )


def test_small_values_have_a_fourth_decimal(report: Opened) -> None:
    """Numbers have three decimals, four below 0.01; a small colour range has as many as its ends need."""
    assert report.page.evaluate("[0, 0.0042, -0.0042, 0.01, 1.23456, NaN].map(number)") == [
        "0.000",
        "0.0042",
        "-0.0042",
        "0.010",
        "1.235",
        "–",
    ]
    report.page.evaluate("now.predicted.forEach((_, at) => { now.predicted[at] = 0.001 + 1e-6 * at })")
    report.page.evaluate("histosge.update({ layer: 'predicted' })")
    ticks = report.page.locator("#legend-main .ticks span").all_inner_texts()
    assert len(set(ticks)) == 3


def test_values_under_the_pointer_are_those_of_the_file(report: Opened, report_folder: Path) -> None:
    """Mean, standard deviations and counts equal those of the file to the stated precision."""
    held = factors.read(report_folder / "factors.h5ad")
    mean_error, sd_error = report.stated("predicted values"), report.stated("their sd")
    assert mean_error < 0.002
    measured = log_cp10k(SECTION.counts).toarray()
    column = int(np.flatnonzero(SECTION.genes == "IMMUNE2")[0])
    report.choose("IMMUNE2")
    mean, sd = held.gene("IMMUNE2"), held.gene_sd("IMMUNE2")
    noisy = held.gene_sd("IMMUNE2", observation=True)
    assert sd is not None
    assert noisy is not None
    rows = shown_locations()
    chosen = np.concatenate(
        [rows[held.locations.observed[rows]][:4], rows[~held.locations.observed[rows]][:6]]
    )
    for row in chosen:
        values = report.point(held.locations.xy[row])
        exact = report.page.locator("#tip")
        assert float(exact.get_attribute("data-location")) == row
        assert abs(float(exact.get_attribute("data-predicted")) - mean[row]) <= mean_error
        assert abs(float(exact.get_attribute("data-sd")) - sd[row]) <= sd_error
        value, written_sd = (float(word) for word in values["predicted"].split(" ± "))
        # what is written has three digits
        assert abs(value - mean[row]) <= mean_error + 0.0005
        assert abs(written_sd - sd[row]) <= sd_error + 0.0005
        assert abs(float(values["one measurement"].strip("± ")) - noisy[row]) <= sd_error + 0.0006
        x, y = (float(word.replace("\u202f", "")) for word in values["x, y"].removesuffix(" µm").split(", "))
        assert np.abs(np.array([x, y]) - held.locations.xy[row]).max() <= 2
        if held.locations.observed[row]:
            spot = held.locations.parent[row]
            number, words = values["measured"].split(" (")
            assert abs(float(number) - measured[spot, column]) <= 0.0006
            assert int(words.split(" of ")[0].replace("\u202f", "")) == SECTION.counts[spot, column]
        else:
            assert "measured" not in values


def test_the_measured_layer_is_the_measurement(report: Opened) -> None:
    """The key m paints spots in their true size, and nothing between them."""
    report.page.keyboard.press("m")
    report.choose("ZONE1")
    alpha = report.painted()[..., 3]
    box = report.page.locator("#stage").bounding_box()
    scale = report.page.evaluate("histosge.stage.view().scale")
    rows = shown_locations()
    for row in rows[:40]:
        x, y = report.at(PREDICTION.locations.xy[row])
        assert bool(alpha[int(y - box["y"]), int(x - box["x"])]) == bool(PREDICTION.locations.observed[row])
    # total area: spots are disks, none overlaps another
    assert abs((alpha > 127).sum() / (len(SECTION) * np.pi * (27.5 * scale) ** 2) - 1) < 0.08


def test_the_scale_bar_is_as_long_as_it_says(report: Opened) -> None:
    """The scale bar has the length that it states, also after zooming."""
    for _ in range(2):
        width = report.page.locator("#scale-line").bounding_box()["width"]
        (x0, _), (x1, _) = report.at(np.array([1000.0, 1000.0])), report.at(np.array([1100.0, 1000.0]))
        said = report.page.locator("#scale-text").inner_text()
        number, unit = said.split()
        micrometres = float(number) * (1000 if unit == "mm" else 1)
        assert abs(width / (x1 - x0) * 100 / micrometres - 1) < 0.02
        report.page.keyboard.press("+")
        report.page.wait_for_timeout(800)


def test_image_and_locations_are_aligned(report: Opened) -> None:
    """The colour of the page at a spot is the colour of the slide at its position in µm."""
    report.page.evaluate("histosge.update({ outline: false })")
    report.page.locator("#opacity").fill("0")
    report.page.wait_for_timeout(300)
    assert SECTION.slide is not None
    scale = report.page.evaluate("histosge.stage.view().scale")
    box = report.page.locator("#stage").bounding_box()
    shown, held = [], []
    for row in shown_locations()[::7]:
        xy = PREDICTION.locations.xy[row]
        x, y = report.at(xy)
        clip = {"x": round(x - box["x"]) - 6, "y": round(y - box["y"]) - 6, "width": 12, "height": 12}
        shown.append(report.seen(**clip).mean(axis=(0, 1)))
        held.append(SECTION.slide.read(xy, 12 / scale, 12).mean(axis=(0, 1)))
    assert np.corrcoef(np.ravel(shown), np.ravel(held))[0, 1] > 0.98


def test_domains_are_painted_and_named(report: Opened) -> None:
    """Two domains have two colours, at the locations of the file."""
    report.page.keyboard.press("d")
    report.page.wait_for_timeout(150)
    assert report.page.locator("#legend-main").inner_text().split() == ["in", "out"]
    pixels = report.painted()
    box = report.page.locator("#stage").bounding_box()
    colours: dict[bool, set[tuple[int, ...]]] = {True: set(), False: set()}
    for row in shown_locations()[::5]:
        x, y = report.at(PREDICTION.locations.xy[row])
        pixel = pixels[int(y - box["y"]), int(x - box["x"]), :3]
        colours[bool(PREDICTION.scores[row, 0] > 0)].add(tuple(int(value) for value in pixel))
    assert len(colours[True]) == len(colours[False]) == 1
    assert colours[True] != colours[False]


def test_the_variance_attribution_is_stated_or_unknown(report: Opened, browser: Any, tmp_path: Path) -> None:
    """Shares of position, histology and auxiliary sections are beside the gene's r_loo, or unknown."""
    gene = str(SECTION.genes[7])
    report.choose(gene)
    assert not report.page.is_visible("#origins-text")
    report.page.click("#origins summary")
    assert report.page.inner_text("#origins-text") == "Variance attribution: unknown."
    assert not report.page.is_visible("#origins-bar")
    parts = np.random.default_rng(5).normal(size=(3, 60, 4)) * np.array([3, 2, 1])[:, None, None]
    flat = np.where(np.arange(len(SECTION.genes)) == 3, 0.0, 1.0)[:, None]
    old = PREDICTION.basis
    basis = replace(old, loadings=old.loadings * flat, attribution=Attribution.of(parts))
    folder = run_folder(tmp_path / "run", SECTION, replace(PREDICTION, basis=basis))
    write(folder)
    found = opened(browser, folder / "report.html")
    found.choose(gene)
    found.page.click("#origins summary")
    assert basis.shares is not None
    position, histology, auxiliary = np.rint(100 * basis.shares[7]).astype(int)
    assert found.page.inner_text("#origins-text") == (
        f"Predicted variance: {position} % position, {histology} % histology (the image), {auxiliary} % "
        "auxiliary sections."
    )
    widths = [piece.bounding_box()["width"] for piece in found.page.query_selector_all("#origins-bar i")]
    assert np.allclose(np.array(widths) / sum(widths), basis.shares[7], atol=0.01)
    assert f"{position} % position" in found.page.inner_text("#status")
    found.choose(str(SECTION.genes[3]))
    assert found.page.inner_text("#origins-text") == "The prediction of this gene does not vary."
    assert not found.page.is_visible("#origins-bar")
    assert found.messages == []
    found.page.context.close()
    # a section of which nothing was fitted
    elsewhere = replace(basis, attribution=Attribution.of(parts).as_auxiliary())
    folder = run_folder(tmp_path / "unseen", SECTION, replace(PREDICTION, basis=elsewhere))
    write(folder)
    found = opened(browser, folder / "report.html")
    found.choose(gene)
    found.page.click("#origins summary")
    assert "100 % auxiliary sections" in found.page.inner_text("#origins-text")
    assert not found.page.is_visible("#origins-bar")
    found.page.context.close()


def test_a_gene_of_total_counts_is_called_one(browser: Any, tmp_path: Path) -> None:
    """Grade, bounds and r given depth are in the words beside the map; genes are sorted by the stricter correlation."""
    number = len(SECTION.genes)
    r, given_depth = np.full(number, 0.5), np.full(number, 0.45)
    given_depth[4] = 0.1
    basis = replace(
        PREDICTION.basis,
        r_loo=r,
        r_loo_given_depth=given_depth,
        r_loo_low=r - 0.1,
        r_loo_high=r + 0.1,
        grade=np.where(np.arange(number) == 4, "none", "fair"),
    )
    write(run_folder(tmp_path / "run", SECTION, replace(PREDICTION, basis=basis)))
    found = opened(browser, tmp_path / "run" / "report.html")
    found.choose(str(SECTION.genes[4]))
    words = "r = 0.50 (0.40 to 0.60) at spots left out of the fit, 0.10 among spots of equal total counts"
    assert found.page.inner_text("#accuracy-grade") == "Very low accuracy"
    assert found.page.inner_text("#accuracy-text") == f"{words}: its pattern is mostly that of total counts."
    found.choose(str(SECTION.genes[7]))
    assert found.page.inner_text("#accuracy-grade") == "Moderate accuracy"
    assert found.page.inner_text("#accuracy-text").endswith("broad regions are reliable, details less so.")
    assert found.messages == []
    found.page.context.close()


def test_without_image_the_ground_is_plain(browser: Any, tmp_path: Path) -> None:
    """A prediction without image has its locations at their positions."""
    blind = replace(SECTION, slide=None)
    path = run_folder(tmp_path / "run", blind, PREDICTION)
    page = opened(browser, write(path))
    assert page.messages == []
    assert (page.painted()[..., 3] > 0).mean() > 0.1
    row = shown_locations()[0]
    values = page.point(PREDICTION.locations.xy[row])
    shown = PREDICTION.gene(page.page.locator("#gene-name").inner_text())[row]
    assert abs(float(values["predicted"].split(" ")[0]) - shown) < 0.002
    page.page.context.close()


def test_a_matrix_is_shown_as_exactly_as_the_page_says(browser: Any, tmp_path: Path) -> None:
    """Models without factors show the values of ``prediction.h5ad``; layers without data are disabled."""
    whole = replace(PREDICTION, score_sd=None).whole()
    h5ad.write(tmp_path / "prediction.h5ad", SECTION, whole)
    (tmp_path / "run.json").write_text(json.dumps(record(SECTION)))
    page = opened(browser, write(tmp_path))
    page.choose("FLAT2")
    column = int(np.flatnonzero(whole.genes == "FLAT2")[0])
    rows = shown_locations()
    row = rows[whole.locations.observed[rows]][0]
    values = page.point(whole.locations.xy[row])
    assert (
        abs(float(values["predicted"]) - whole.mean[row, column]) <= page.stated("predicted values") + 0.0005
    )
    truth = log_cp10k(SECTION.counts).toarray()[whole.locations.parent[row], column]
    assert abs(float(values["measured"]) - truth) <= page.stated("measured values") + 0.0005
    assert page.page.locator("#layer-uncertainty").is_disabled()
    assert page.messages == []
    page.page.context.close()


def test_dark_and_narrow_screens(browser: Any, report_folder: Path) -> None:
    """A dark desktop gives a dark page; on a telephone nothing is wider than the screen."""
    page = opened(
        browser, report_folder / "report.html", color_scheme="dark", viewport={"width": 390, "height": 800}
    )
    ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(word) for word in re.findall(r"\d+", ground)[:3]) < 60
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    for layer in ("predicted", "uncertainty"):
        page.page.evaluate("(layer) => histosge.update({ layer })", layer)
        assert not overlap(page.box("#scale-bar"), page.box("#legends"))
    assert not overlap(page.box("#heading"), page.box(".toolbar"))
    page.page.context.close()


def test_the_details_do_not_cover_the_map(browser: Any, report_folder: Path) -> None:
    """On a small screen the details stand beside the map, with its tools in view; closed, the genes are back."""
    page = opened(browser, report_folder / "report.html", viewport={"width": 1040, "height": 650})
    page.page.locator("#about-more").click()
    page.page.wait_for_timeout(100)
    details = page.box("#about-run")
    for part in ("#stage", ".toolbar", "#legends", "#heading"):
        assert not overlap(page.box(part), details), part
    page.page.locator("#about-close").click()
    parts = [page.box(part) for part in ("#explore header", "#finder", "#accuracy", "#settings")]
    assert not any(overlap(*pair) for pair in combinations(parts, 2))


@pytest.mark.slow
@pytest.mark.real
def test_a_whole_transcriptome_fits(browser: Any, real_data: Path, tmp_path: Path) -> None:
    """All genes of crc16 at ×4 are written within 2 GB, into at most 50 MB, and painted without a message."""
    import subprocess
    import sys

    section = hs.read(real_data / "crc16")
    rng = np.random.default_rng(0)
    locations, g, k = hs.upsampled(section, 4), len(section.genes), 64
    basis = Basis(
        section.genes,
        rng.gamma(1, 1, g),
        rng.normal(0, 0.2, (g, k)),
        np.full(g, 0.4),
        np.full(g, 1.1),
        rng.uniform(-0.1, 0.9, g),
    )
    # noise does not pack: the largest page that a section of this size can make
    scores, sd = rng.normal(0, 1, (len(locations), k)), rng.gamma(4, 0.05, (len(locations), k))
    folder = run_folder(tmp_path / "run", section, FactoredPrediction(locations, basis, scores, sd))
    words = ["report", str(folder), "--section", str(real_data / "crc16"), "--json"]
    script = (
        "from histosge.cli import commands; from histosge._runtime.provenance import peak_memory_bytes; "
        f"commands()({words!r}, standalone_mode=False); print(peak_memory_bytes())"
    )
    values = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    page = folder / "report.html"
    assert int(values.stdout.split()[-1]) < 2_000_000_000
    assert page.stat().st_size < 50_000_000
    found = opened(browser, page)
    assert found.messages == []
    assert found.page.evaluate("performance.getEntriesByName('first-contentful-paint').length") == 1
    found.page.context.close()
