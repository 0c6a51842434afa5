"""The report in a real browser, opened from disk: what one sees and points at is what the files hold."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import histosge as hs
from histosge.datasets import synthetic
from histosge.expression import log_cp10k
from histosge.factored import Basis, FactoredPrediction
from histosge.polygons import read_polygons
from histosge.report import write
from histosge.sources import Sources
from histosge.writers import factors, h5ad

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("HISTOSGE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium; install the distribution's, or set HISTOSGE_CHROMIUM"
)

SECTION = synthetic(columns=14, rows=14, genes=40).section
SIZE = {"width": 1280, "height": 860}


def factored(section: hs.Section, fold: int = 4) -> FactoredPrediction:
    """A prediction with patterns of the truth's size: four smooth fields, loadings from the counts."""
    places = hs.refined(section, fold)
    values = log_cp10k(section.counts).toarray()
    waves = np.linspace(600, 2400, 4)
    fields = np.column_stack([np.sin(places.xy @ (np.array([1, 0.5]) * 6.28 / wave)) for wave in waves])
    rng = np.random.default_rng(3)
    g = len(section.genes)
    basis = Basis(
        section.genes,
        values.mean(axis=0),
        rng.normal(0, 0.5, (g, 4)),
        np.full(g, 0.4),
        np.full(g, 1.15),
        np.where(np.arange(g) == 5, np.nan, rng.uniform(-0.1, 0.9, g)),
    )
    return FactoredPrediction(places, basis, fields, rng.gamma(4, 0.05, (len(places), 4)))


PREDICTION = factored(SECTION)


def record(section: hs.Section) -> dict[str, Any]:
    return {
        "section": {
            "name": "synthetic",
            "platform": "synthetic",
            "spots": len(section),
            "genes": len(section.genes),
            "pitch_um": section.pitch_um,
            "mpp": section.mpp,
            "fingerprint": section.fingerprint,
        },
        "model": {"name": "cokriging"},
        "genes": [str(name) for name in section.genes],
        "fit": {"calibration": {"levels": [0.5, 0.9], "coverage": [0.48, 0.91]}},
    }


def run_folder(path: Path, section: hs.Section, prediction: FactoredPrediction) -> Path:
    path.mkdir(exist_ok=True)
    factors.write(path / "factors.h5ad", section, prediction)
    (path / "run.json").write_text(json.dumps(record(section)))
    return path


@dataclass
class Opened:
    """A page, and all that it said and asked for."""

    page: Any
    said: list[str]
    asked: list[str]

    def choose(self, gene: str) -> None:
        self.page.evaluate("(gene) => histosge.update({ row: histosge.genes.indexOf(gene) })", gene)

    def painted(self, layer: str = "main") -> np.ndarray:
        text = self.page.evaluate(f"document.querySelector('#layer-{layer} canvas').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))))

    def seen(self, **clip: float) -> np.ndarray:
        box = self.page.locator("#stage").bounding_box()
        clip = {**clip, "x": box["x"] + clip["x"], "y": box["y"] + clip["y"]}
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB")).astype(
            float
        )

    def at(self, xy_um: np.ndarray) -> tuple[float, float]:
        """Return the pixel of the page at a place."""
        box = self.page.locator("#stage").bounding_box()
        origin = np.array(self.page.evaluate("histosge.about.frame.origin"))
        x, y = self.page.evaluate("([x, y]) => histosge.stage.toPixels(x, y)", (xy_um - origin).tolist())
        return box["x"] + x, box["y"] + y

    def point(self, xy_um: np.ndarray) -> dict[str, str]:
        """Point at a place; return what the page says of it."""
        self.page.mouse.move(*self.at(xy_um))
        words = self.page.locator("#tip").inner_text().split("\n")
        return dict(zip(words[::2], words[1::2], strict=True))

    def stated(self, term: str) -> float:
        """Return the precision that the page states of something."""
        text = self.page.locator(f"#about-run dt:text-is('{term}') + dd").text_content()
        found = re.search(r"within ([\d.e-]+)", text)
        assert found
        return float(found.group(1))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The distribution's Chromium."""
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def opened(browser: Any, path: Path, **options: Any) -> Opened:
    context = browser.new_context(**{"viewport": SIZE, "accept_downloads": True, **options})
    found = Opened(context.new_page(), [], [])
    found.page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(path.as_uri())
    found.page.wait_for_selector("body[data-ready]")
    found.page.wait_for_timeout(300)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with domains and a report."""
    path = run_folder(tmp_path_factory.mktemp("report") / "run", SECTION, PREDICTION)
    labels = (PREDICTION.fields[:, 0] > 0).astype(int)
    rows = "".join(
        f"{name}\t{'in' if label else 'out'}\n"
        for name, label in zip(PREDICTION.locations.points.ids, labels, strict=True)
    )
    (path / "domains.tsv").write_text("place\tkmeans\n" + rows)
    write(path, section=SECTION)
    return path


@pytest.fixture
def report(browser: Any, folder: Path) -> Iterator[Opened]:
    """The report, opened from disk."""
    found = opened(browser, folder / "report.html")
    yield found
    found.page.context.close()


def shown_places() -> np.ndarray:
    """Rows of places that have a measured spot all around, away from the page's cards."""
    xy = PREDICTION.locations.xy
    low, high = np.quantile(xy, 0.3, axis=0), np.quantile(xy, 0.7, axis=0)
    return np.flatnonzero(((xy > low) & (xy < high)).all(axis=1))


def test_it_opens_from_disk_in_silence(report: Opened) -> None:
    """No message on the console, no request but the file itself; first paint well within two seconds."""
    report.page.keyboard.press("u")
    report.page.keyboard.press("c")
    report.page.wait_for_timeout(200)
    assert report.said == []
    assert [url for url in report.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in report.asked) == 1
    paint = report.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 2000


def test_another_gene_makes_another_picture(report: Opened) -> None:
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
    """In viridis more is greener: painted green rises with the prediction, as matplotlib's map says."""
    from matplotlib import colormaps

    report.choose("STROMA1")
    report.page.evaluate("histosge.update({ opacity: 1 })")
    values = PREDICTION.gene("STROMA1")
    low, high = (
        float(word)
        for word in np.array(report.page.locator("#legend-main .ticks").inner_text().split())[[0, 2]]
    )
    pixels = report.painted()
    box = report.page.locator("#stage").bounding_box()
    for row in shown_places()[::9]:
        x, y = report.at(PREDICTION.locations.xy[row])
        found = pixels[int(y - box["y"]), int(x - box["x"]), :3].astype(float)
        share = np.clip((values[row] - low) / (high - low), 0, 1)
        assert np.abs(found - 255 * np.array(colormaps["viridis"](share)[:3])).max() < 12


def test_values_under_the_pointer_are_those_of_the_file(report: Opened, folder: Path) -> None:
    """Mean, standard deviation, that of a measurement, and counts equal the file's to the precision stated."""
    held = factors.read(folder / "factors.h5ad")
    mean_error, sd_error = report.stated("predicted values"), report.stated("their sd")
    assert mean_error < 0.002
    measured = log_cp10k(SECTION.counts).toarray()
    column = int(np.flatnonzero(SECTION.genes == "IMMUNE2")[0])
    report.choose("IMMUNE2")
    mean, sd = held.gene("IMMUNE2"), held.gene_sd("IMMUNE2")
    noisy = held.gene_sd("IMMUNE2", observation=True)
    assert sd is not None
    assert noisy is not None
    rows = shown_places()
    chosen = np.concatenate(
        [rows[held.locations.observed[rows]][:4], rows[~held.locations.observed[rows]][:6]]
    )
    for row in chosen:
        told = report.point(held.locations.xy[row])
        exact = report.page.locator("#tip")
        assert float(exact.get_attribute("data-place")) == row
        assert abs(float(exact.get_attribute("data-predicted")) - mean[row]) <= mean_error
        assert abs(float(exact.get_attribute("data-sd")) - sd[row]) <= sd_error
        value, spread = (float(word) for word in told["predicted"].split(" ± "))
        # what is written has three digits
        assert abs(value - mean[row]) <= mean_error + 0.0005
        assert abs(spread - sd[row]) <= sd_error + 0.0005
        assert abs(float(told["one measurement"].strip("± ")) - noisy[row]) <= sd_error + 0.0006
        x, y = (float(word.replace("\u202f", "")) for word in told["x, y"].removesuffix(" µm").split(", "))
        assert np.abs(np.array([x, y]) - held.locations.xy[row]).max() <= 2
        if held.locations.observed[row]:
            spot = held.locations.parent[row]
            number, words = told["measured"].split(" (")
            assert abs(float(number) - measured[spot, column]) <= 0.0006
            assert int(words.split(" of ")[0].replace("\u202f", "")) == SECTION.counts[spot, column]
        else:
            assert "measured" not in told


def test_the_measured_layer_is_the_measurement(report: Opened) -> None:
    """Pressing m paints spots, of their true size, and nothing between them."""
    report.page.keyboard.press("m")
    report.choose("ZONE1")
    alpha = report.painted()[..., 3]
    box = report.page.locator("#stage").bounding_box()
    scale = report.page.evaluate("histosge.stage.view().scale")
    rows = shown_places()
    for row in rows[:40]:
        x, y = report.at(PREDICTION.locations.xy[row])
        assert bool(alpha[int(y - box["y"]), int(x - box["x"])]) == bool(PREDICTION.locations.observed[row])
    # total area: spots are disks, none overlaps another
    assert abs((alpha > 127).sum() / (len(SECTION) * np.pi * (27.5 * scale) ** 2) - 1) < 0.08


def test_a_lasso_gives_the_mean_that_numpy_gives(report: Opened, tmp_path: Path) -> None:
    """The region's mean and interval are numpy's over the places inside; the files tell the same."""
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
    assert int(card.get_attribute("data-places")) == len(inside)
    mean, sd = PREDICTION.gene("NUCLEI1"), PREDICTION.gene_sd("NUCLEI1")
    assert sd is not None
    error = report.stated("predicted values")
    assert abs(float(card.get_attribute("data-mean")) - mean[inside].mean()) <= error
    text = card.locator("dl").inner_text().split("\n")
    told = dict(zip(text[::2], text[1::2], strict=True))
    low, high = (float(word) for word in told["90 % interval"].split(" – "))
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
    places = PREDICTION.locations
    assert [row["place"] for row in rows] == places.points.ids[inside].tolist()
    found = np.array(
        [[float(row[name]) for name in ("x_um", "y_um", "predicted_log1p_cp10k")] for row in rows]
    )
    assert np.abs(found[:, :2] - places.xy[inside]).max() < 0.01
    assert np.abs(found[:, 2] - PREDICTION.gene("NUCLEI1")[inside]).max() <= error + 0.00006
    assert [row["domain"] for row in rows] == [
        "in" if PREDICTION.fields[row, 0] > 0 else "out" for row in inside
    ]
    assert [bool(row["measured_log1p_cp10k"]) for row in rows] == places.observed[inside].tolist()


def _check_border(report: Opened, drawn: np.ndarray, folder: Path) -> None:
    path = saved(report, "#save-geojson", folder / "region.geojson")
    (region,) = read_polygons(path, mpp=SECTION.mpp)
    assert np.abs(region.exterior[:-1] - drawn).max() < 0.01
    assert json.loads(path.read_text())["features"][0]["properties"]["objectType"] == "annotation"


def test_the_swipe_shows_measured_left_and_predicted_right(report: Opened) -> None:
    """Beside the divider the page looks as each layer alone does; dragging moves the border."""
    report.choose("TUMOUR1")
    clips = {
        "left": {"x": 330, "y": 300, "width": 100, "height": 200},
        "right": {"x": 560, "y": 300, "width": 100, "height": 200},
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
    """Search and choose, layers, zoom, move, region, panel: without a mouse."""
    page = report.page
    page.keyboard.press("/")
    page.keyboard.type("immune3")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('gene-name').textContent === 'IMMUNE3'")
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
    assert int(page.locator("#region").get_attribute("data-places")) > 100
    page.keyboard.press("Escape")
    assert page.locator("#region").is_hidden()
    page.keyboard.press("i")
    assert page.locator("#about-run").is_visible()
    assert page.locator("#calibration-chart circle.done").count() == 3
    assert page.locator("#skill-chart .bar-all").count() > 10
    page.keyboard.press("Tab")
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"


def test_all_controls_have_names(report: Opened) -> None:
    """Whoever listens to the page hears what each button, field and list is."""
    nameless = report.page.evaluate(
        """[...document.querySelectorAll('button, input, select, [role]')].filter((element) => !(
          element.getAttribute('aria-label') || element.textContent.trim() || element.closest('label')
          || ['status', 'option'].includes(element.getAttribute('role')))).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_a_gene_that_is_not_there_is_answered_with_near_misses(report: Opened) -> None:
    """The search says so in a sentence, and Enter keeps the gene shown."""
    shown = report.page.locator("#gene-name").inner_text()
    report.page.locator("#search").fill("tumuor1")
    assert "Did you mean TUMOUR1" in report.page.locator("#no-gene").inner_text()
    report.page.keyboard.press("Enter")
    assert report.page.locator("#gene-name").inner_text() == shown


def test_genes_are_sorted_by_skill_and_found_as_one_types(report: Opened) -> None:
    """The best predicted comes first, the unknown last; what begins with the letters comes before what holds them."""
    page = report.page
    skill = PREDICTION.basis.skill
    names = page.locator(".gene .name").all_inner_texts()
    order = np.argsort(-np.nan_to_num(skill, nan=-9), kind="stable")
    assert names[:6] == SECTION.genes[order][:6].tolist()
    assert page.locator(".gene .number").first.inner_text() == f"{np.nanmax(skill):.2f}"
    page.locator("#search").fill("e")
    found = page.locator(".gene .name").all_inner_texts()
    assert found
    assert all("E" in name for name in found)
    page.locator("#search").fill("une1")
    assert page.locator(".gene .name").first.inner_text() == "IMMUNE1"


def test_the_scale_bar_is_as_long_as_it_says(report: Opened) -> None:
    """Its pixels, over the pixels of a known distance, are its micrometres; also after zooming."""
    for _ in range(2):
        width = report.page.locator("#scale-line").bounding_box()["width"]
        (x0, _), (x1, _) = report.at(np.array([1000.0, 1000.0])), report.at(np.array([1100.0, 1000.0]))
        said = report.page.locator("#scale-text").inner_text()
        number, unit = said.split()
        micrometres = float(number) * (1000 if unit == "mm" else 1)
        assert abs(width / (x1 - x0) * 100 / micrometres - 1) < 0.02
        report.page.keyboard.press("+")
        report.page.wait_for_timeout(800)


def test_image_and_places_lie_on_each_other(report: Opened) -> None:
    """A spot of the image is where its µm say: the page's pixel there has the colour that the slide has."""
    report.page.evaluate("histosge.update({ outline: false })")
    report.page.locator("#opacity").fill("0")
    report.page.wait_for_timeout(300)
    assert SECTION.slide is not None
    scale = report.page.evaluate("histosge.stage.view().scale")
    box = report.page.locator("#stage").bounding_box()
    shown, held = [], []
    for row in shown_places()[::7]:
        xy = PREDICTION.locations.xy[row]
        x, y = report.at(xy)
        clip = {"x": round(x - box["x"]) - 6, "y": round(y - box["y"]) - 6, "width": 12, "height": 12}
        shown.append(report.seen(**clip).mean(axis=(0, 1)))
        held.append(SECTION.slide.read(xy, 12 / scale, 12).mean(axis=(0, 1)))
    assert np.corrcoef(np.ravel(shown), np.ravel(held))[0, 1] > 0.98


def test_domains_are_painted_and_named(report: Opened) -> None:
    """Two domains, two colours, split where the file splits them."""
    report.page.keyboard.press("d")
    report.page.wait_for_timeout(150)
    assert report.page.locator("#legend-main").inner_text().split() == ["in", "out"]
    pixels = report.painted()
    box = report.page.locator("#stage").bounding_box()
    colours: dict[bool, set[tuple[int, ...]]] = {True: set(), False: set()}
    for row in shown_places()[::5]:
        x, y = report.at(PREDICTION.locations.xy[row])
        pixel = pixels[int(y - box["y"]), int(x - box["x"]), :3]
        colours[bool(PREDICTION.fields[row, 0] > 0)].add(tuple(int(value) for value in pixel))
    assert len(colours[True]) == len(colours[False]) == 1
    assert colours[True] != colours[False]


def test_what_a_pattern_is_made_of_is_said_or_unknown(report: Opened, browser: Any, tmp_path: Path) -> None:
    """Shares of position, image and siblings stand beside the gene's skill; where nobody knows it says so."""
    gene = str(SECTION.genes[7])
    report.choose(gene)
    assert report.page.inner_text("#origins-text") == "What its pattern comes from: unknown."
    assert not report.page.is_visible("#origins-bar")
    parts = np.random.default_rng(5).normal(size=(3, 60, 4)) * np.array([3, 2, 1])[:, None, None]
    flat = np.where(np.arange(len(SECTION.genes)) == 3, 0.0, 1.0)[:, None]
    old = PREDICTION.basis
    basis = replace(old, loadings=old.loadings * flat, sources=Sources.of(parts))
    folder = run_folder(tmp_path / "run", SECTION, replace(PREDICTION, basis=basis))
    write(folder)
    found = opened(browser, folder / "report.html")
    found.choose(gene)
    assert basis.shares is not None
    position, histology, siblings = np.rint(100 * basis.shares[7]).astype(int)
    assert found.page.inner_text("#origins-text") == (
        f"Its pattern comes from: {position} % where the spots around lie, {histology} % what the tissue looks like, "
        f"{siblings} % other sections."
    )
    widths = [piece.bounding_box()["width"] for piece in found.page.query_selector_all("#origins-bar i")]
    assert np.allclose(np.array(widths) / sum(widths), basis.shares[7], atol=0.01)
    assert f"{position} % where" in found.page.inner_text("#status")
    found.choose(str(SECTION.genes[3]))
    assert found.page.inner_text("#origins-text") == "It has no pattern: one value everywhere."
    assert not found.page.is_visible("#origins-bar")
    assert found.said == []
    found.page.context.close()
    # a section of which nothing was fitted
    elsewhere = replace(basis, sources=Sources.of(parts).elsewhere())
    folder = run_folder(tmp_path / "unseen", SECTION, replace(PREDICTION, basis=elsewhere))
    write(folder)
    found = opened(browser, folder / "report.html")
    found.choose(gene)
    assert "other sections alone" in found.page.inner_text("#origins-text")
    assert not found.page.is_visible("#origins-bar")
    found.page.context.close()


def test_without_image_the_ground_is_plain(browser: Any, tmp_path: Path) -> None:
    """A prediction without image opens all the same, places where they are."""
    blind = replace(SECTION, slide=None)
    path = run_folder(tmp_path / "run", blind, PREDICTION)
    page = opened(browser, write(path))
    assert page.said == []
    assert (page.painted()[..., 3] > 0).mean() > 0.1
    row = shown_places()[0]
    told = page.point(PREDICTION.locations.xy[row])
    shown = PREDICTION.gene(page.page.locator("#gene-name").inner_text())[row]
    assert abs(float(told["predicted"].split(" ")[0]) - shown) < 0.002
    page.page.context.close()


def test_a_matrix_is_shown_as_exactly_as_the_page_says(browser: Any, tmp_path: Path) -> None:
    """Models that are not factored: values of ``prediction.h5ad``, measured ones included, no unknown layer offered."""
    whole = replace(PREDICTION, field_sd=None).whole()
    h5ad.write(tmp_path / "prediction.h5ad", SECTION, whole)
    (tmp_path / "run.json").write_text(json.dumps(record(SECTION)))
    page = opened(browser, write(tmp_path))
    page.choose("FLAT2")
    column = int(np.flatnonzero(whole.genes == "FLAT2")[0])
    rows = shown_places()
    row = rows[whole.locations.observed[rows]][0]
    told = page.point(whole.locations.xy[row])
    assert abs(float(told["predicted"]) - whole.mean[row, column]) <= page.stated("predicted values") + 0.0005
    truth = log_cp10k(SECTION.counts).toarray()[whole.locations.parent[row], column]
    assert abs(float(told["measured"]) - truth) <= page.stated("measured values") + 0.0005
    assert page.page.locator("#layer-uncertainty").is_disabled()
    assert page.said == []
    page.page.context.close()


def test_dark_and_narrow(browser: Any, folder: Path) -> None:
    """On a dark desktop the panel is dark; on a telephone nothing is wider than the screen."""
    page = opened(
        browser, folder / "report.html", color_scheme="dark", viewport={"width": 390, "height": 800}
    )
    ground = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(word) for word in re.findall(r"\d+", ground)[:3]) < 60
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    page.page.context.close()


@pytest.mark.slow
@pytest.mark.real
def test_a_whole_transcriptome_fits(browser: Any, real_data: Path, tmp_path: Path) -> None:
    """crc16, four places a spot, all genes: written within 2 GB, at most 50 MB, and painted without a word."""
    import subprocess
    import sys

    section = hs.read(real_data / "crc16")
    rng = np.random.default_rng(0)
    places, g, k = hs.refined(section, 4), len(section.genes), 64
    basis = Basis(
        section.genes,
        rng.gamma(1, 1, g),
        rng.normal(0, 0.2, (g, k)),
        np.full(g, 0.4),
        np.full(g, 1.1),
        rng.uniform(-0.1, 0.9, g),
    )
    # noise does not pack: the largest page that a section of this size can make
    fields, sd = rng.normal(0, 1, (len(places), k)), rng.gamma(4, 0.05, (len(places), k))
    folder = run_folder(tmp_path / "run", section, FactoredPrediction(places, basis, fields, sd))
    words = ["report", str(folder), "--section", str(real_data / "crc16"), "--json"]
    script = (
        "from histosge.cli import commands; from histosge.provenance import peak_memory_bytes; "
        f"commands()({words!r}, standalone_mode=False); print(peak_memory_bytes())"
    )
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    page = folder / "report.html"
    assert int(told.stdout.split()[-1]) < 2_000_000_000
    assert page.stat().st_size < 50_000_000
    found = opened(browser, page)
    assert found.said == []
    assert found.page.evaluate("performance.getEntriesByName('first-contentful-paint').length") == 1
    found.page.context.close()
