"""Two genes, pictures, links, outlines of files and the list of genes work in a real browser."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_report import PREDICTION, SECTION, Opened, opened, run_folder
from PIL import Image

from histosge.report import write

# what protanopes and deuteranopes see of linear red, green, blue (vienot1999)
_DICHROMATS = (
    np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
)


def names(report: Opened) -> list[str]:
    return report.page.locator(".gene .name").all_inner_texts()


def test_the_list_opens_on_accurate_genes_by_pattern(report: Opened) -> None:
    """The list opens with groups of like maps, each from its most accurate gene on; other genes follow once."""
    page = report.page
    assert page.locator("#sort").input_value() == "pattern"
    assert page.locator(".group").first.inner_text().startswith("Pattern of ")
    groups, order = page.evaluate("[histosge.about.groups, histosge.listed('pattern')]")
    strict = PREDICTION.basis.r_loo
    maps = PREDICTION.means(np.arange(len(PREDICTION.genes)))
    for group in groups:
        assert strict[group[0]] == max(strict[group])
        assert all(np.corrcoef(maps[:, group[0]], maps[:, row])[0, 1] > 0 for row in group)
    rows = [row for row in order if row >= 0]
    assert sorted(rows) == list(range(len(PREDICTION.genes)))
    assert page.evaluate("histosge.state.row") == groups[0][0]
    page.locator("#search").focus()
    for _ in range(len(groups[0])):
        page.keyboard.press("ArrowDown")
    # the heading between two groups is no gene
    page.keyboard.press("Enter")
    assert page.evaluate("histosge.state.row") == groups[1][0]


def test_a_gene_is_found_by_alias_and_identifier(browser: Any, tmp_path: Path) -> None:
    """HER2 finds ERBB2 and says so; its Ensembl id finds it, too, where the section has ids."""
    from dataclasses import replace

    genes = SECTION.genes.copy()
    genes[7] = "ERBB2"
    ids = np.array([f"ENSG{row:011d}" for row in range(len(genes))])
    section = replace(SECTION, genes=genes, gene_ids=ids)
    prediction = replace(PREDICTION, basis=replace(PREDICTION.basis, genes=genes))
    found = opened(browser, write(run_folder(tmp_path / "run", section, prediction), section=section))
    for typed, shown in (
        ("erbb2", "ERBB2"),
        ("HER2", "ERBB2 HER2"),
        ("ensg00000000007.3", "ERBB2 ENSG00000000007"),
    ):
        found.page.locator("#search").fill(typed)
        found.until("document.querySelectorAll('.gene').length === 1")
        assert names(found) == [shown]
    found.page.locator("#search").press("Enter")
    assert found.page.locator("#gene-name").inner_text() == "ERBB2"
    found.page.context.close()


def test_two_genes_have_colours_of_their_own(report: Opened) -> None:
    """A location is magenta by the first gene and green by the second; dichromats tell high, low and both apart."""
    page = report.page
    page.locator("#search").fill("ZONE1")
    page.keyboard.press("Enter")
    page.locator("#second-choose").click()
    page.keyboard.type("TUMOUR1")
    page.keyboard.press("Enter")
    report.until("document.getElementById('gene-name').textContent === 'ZONE1 + TUMOUR1'")
    page.evaluate("histosge.update({ opacity: 1 })")
    pixels, box = report.painted(), report.box("#stage")
    levels = []
    for gene in ("ZONE1", "TUMOUR1"):
        values = PREDICTION.gene(gene)
        low, high = np.quantile(values, (0.01, 0.99))
        levels.append(np.clip((values - low) / (high - low), 0, 1))
    inner = np.flatnonzero(PREDICTION.locations.observed)[30:150:7]
    for row in inner:
        x, y = report.at(PREDICTION.locations.xy[row])
        red, green, blue = pixels[int(y - box["y"]), int(x - box["x"]), :3] / 255
        assert red == blue
        assert abs(red - levels[0][row]) < 0.04
        assert abs(green - levels[1][row]) < 0.04
    legend = page.locator("#legend-main").inner_text()
    assert "ZONE1" in legend
    assert "TUMOUR1" in legend
    corners = np.array(page.evaluate("[[0, 0], [1, 0], [0, 1], [1, 1]].map(([a, b]) => pairColour(a, b))"))
    for seen in _DICHROMATS:
        shades = ((corners / 255) @ seen.T).clip(0, 1) ** (1 / 2.2)
        assert min(np.linalg.norm(a - b) for a, b in combinations(shades, 2)) > 0.3
    page.locator("#second-clear").click()
    report.until("document.getElementById('gene-name').textContent === 'ZONE1'")


def test_the_saved_picture_has_map_scale_bar_and_caption(report: Opened, tmp_path: Path) -> None:
    """The PNG shows the view at twice its size, a scale bar as long as on screen, and below it legend and caption."""
    page = report.page
    report.choose("STROMA1")
    page.evaluate("histosge.update({ opacity: 1 })")
    seen, box = report.painted(), report.box("#stage")
    with page.expect_download() as waiting:
        page.keyboard.press("s")
    assert waiting.value.suggested_filename == "synthetic_STROMA1_predicted.png"
    waiting.value.save_as(tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB"))
    width, height = (round(2 * box[side]) for side in ("width", "height"))
    assert picture.shape[1] == width
    assert picture.shape[0] > height + 100
    middle = np.median(PREDICTION.locations.xy, axis=0)
    for row in np.argsort(np.linalg.norm(PREDICTION.locations.xy - middle, axis=1))[:5]:
        x, y = report.at(PREDICTION.locations.xy[row])
        x, y = x - box["x"], y - box["y"]
        assert np.abs(picture[int(2 * y), int(2 * x)].astype(int) - seen[int(y), int(x), :3]).max() < 12
    px = float(page.locator("#scale-bar").get_attribute("data-px"))
    black = (picture[height - 120 : height, : width // 2] == 0).all(axis=2).sum(axis=1).max()
    assert abs(black - 2 * px) <= 3
    below = picture[height + 20 :]
    # the colours of the legend, and dark letters
    assert (np.ptp(below.astype(int), axis=2) > 60).sum() > 2000
    assert (below.max(axis=2) < 90).sum() > 1000
    caption = page.evaluate("pictureCaption()")
    assert "synthetic: STROMA1, predicted." in caption
    assert "at spots left out" in caption


def test_a_link_brings_the_view_back(browser: Any, report: Opened, report_folder: Path) -> None:
    """Gene, second gene, layer, swipe, place and zoom are in the address; opening it shows the same."""
    page = report.page
    page.evaluate("histosge.update({ row: 3, second: 8, compare: true, split: 0.3 })")
    page.keyboard.press("+")
    page.wait_for_timeout(800)
    page.keyboard.press("ArrowRight")
    report.until("location.hash.includes('across=')")
    page.wait_for_timeout(900)
    state = (
        "(({ row, second, layer, compare, split }) => [row, second, layer, compare, split])(histosge.state)"
    )
    fragment, there, place = page.evaluate(f"[location.hash, {state}, histosge.stage.visible()]")
    again = opened(browser, report_folder / "report.html")
    again.page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
    again.until("histosge.state.second === 8")
    again.page.wait_for_timeout(300)
    assert again.page.evaluate(state) == there
    found = again.page.evaluate("histosge.stage.visible()")
    for key in ("x", "y", "across"):
        assert abs(found[key] - place[key]) <= 1, key
    again.page.evaluate("location.hash = 'gene=nothing&layer=nothing&at=a,b&across=-1&second=x'")
    again.until("histosge.state.second === -1")
    assert again.page.evaluate("histosge.state.layer") == "predicted"
    assert again.messages == []
    again.page.context.close()


def outline(scale: float, **said: Any) -> dict[str, Any]:
    middle, half = np.median(SECTION.spots.xy, axis=0), 143.0
    ring = [(middle + half * np.array(corner)) / scale for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    hole = [(middle + 37 * np.array(corner)) / scale for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    rings = [[corner.tolist() for corner in (*line, line[0])] for line in (ring, hole)]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": rings}}
    feature["properties"] = {"name": "tumour <b>"}
    return {"type": "FeatureCollection", "features": [feature], **said}


def test_outlines_of_a_file_stand_where_they_were_drawn(report: Opened) -> None:
    """Pixels, by default, and µm, where the file says so, are placed alike; as a region a hole has no locations."""
    page, xy = report.page, PREDICTION.locations.xy
    middle = np.median(SECTION.spots.xy, axis=0)
    away = np.abs(xy - middle).max(axis=1)
    expected = int(((away < 143) & (away > 37)).sum())
    for said, scale, words in (({}, SECTION.mpp, "pixels"), ({"units": "µm"}, 1.0, "placed in µm")):
        text = json.dumps(outline(scale, **said)).encode()
        page.locator("#import-file").set_input_files(
            {"name": "drawn.geojson", "mimeType": "application/json", "buffer": text}
        )
        report.until("document.querySelectorAll('#imported path').length === 1")
        assert words in page.locator("#notice").inner_text()
        page.locator("#imported-choice").select_option(label="tumour <b>")
        assert int(page.locator("#region").get_attribute("data-locations")) == expected
        page.locator("#imported-clear").click()
        assert page.locator("#imported path").count() == 0
    assert report.messages == []


_BAD = [
    ("{", "cannot be read as JSON"),
    ("3", "expected a collection"),
    ('{"type": "FeatureCollection", "features": []}', "has no polygon"),
    (json.dumps(outline(1.0, units="mm")), "Expected µm or pixels"),
    (
        json.dumps({"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [2, 2]]]}),
        "position that is not two numbers",
    ),
    (
        json.dumps({"type": "Polygon", "coordinates": [[[-9e6, 0], [-9e6, 9], [-8e6, 9]]]}),
        "No outline of",
    ),
]


def test_files_that_cannot_be_placed_are_refused(report: Opened) -> None:
    """A file without outlines of this image is refused with a sentence; what was shown stays."""
    page, notice = report.page, report.page.locator("#notice")
    put = "(content) => importFile(new File([content], 'drawn.geojson'))"
    page.evaluate(put, json.dumps(outline(SECTION.mpp)))
    for content, words in _BAD:
        page.evaluate(put, content)
        assert notice.get_attribute("role") == "alert"
        assert words in notice.inner_text()
        assert "drawn.geojson" in notice.inner_text()
        assert page.locator("#imported path").count() == 1
    page.locator("#notice-close").click()
    assert notice.is_hidden()
    assert report.messages == []


def test_domains_of_a_folder_below_appear(browser: Any, report_folder: Path, tmp_path: Path) -> None:
    """Domains that were computed into a folder of the run are in its report; without any, the reason is in view."""
    folder = tmp_path / "run"
    shutil.copytree(report_folder, folder)
    (folder / "domains.tsv").unlink()
    found = opened(browser, write(folder))
    assert found.page.locator("#layer-domains").is_disabled()
    assert "histosge domains" in found.page.locator("#layers-why").inner_text()
    (folder / "histosge-domains").mkdir()
    # a confidence of a few values is no set of domains
    head, *rows = (report_folder / "domains.tsv").read_text().splitlines()
    table = [f"{head}\tdomain_confidence", *(f"{row}\t{at % 3 / 2}" for at, row in enumerate(rows))]
    (folder / "histosge-domains" / "domains.tsv").write_text("\n".join(table) + "\n")
    (folder / "histosge-domains" / "domains.json").write_text('{"method": "kmeans"}')
    found.page.goto(write(folder).as_uri())
    found.page.wait_for_selector("body[data-ready]")
    found.page.keyboard.press("d")
    assert found.page.locator("#legend-main span").all_inner_texts() == ["in", "out"]
    assert found.page.locator("#layers-why").is_hidden()
    assert found.page.locator("#labels").count() == 0
    found.page.context.close()


def test_nothing_overlaps_on_a_phone(browser: Any, report_folder: Path) -> None:
    """At 390 × 844 pixels cards, tools, legends and the words of the swipe leave each other free, in every layer."""
    found = opened(
        browser, report_folder / "report.html", viewport={"width": 390, "height": 844}, has_touch=True
    )
    for key in ("p", "d", "c", "v"):
        found.page.keyboard.press(key)
        _refuse_overlaps(found)
    assert found.page.locator("#region").is_visible()
    assert found.page.locator("#divider").is_visible()
    found.page.context.close()


@pytest.mark.parametrize("size", [(390, 844), (1500, 1000)], ids=["phone", "screen"])
def test_cards_leave_the_whole_section_free(browser: Any, report_folder: Path, size: tuple[int, int]) -> None:
    """Where the whole section is shown, no location lies below the heading, the tools, the scale bar or the legend."""
    width, height = size
    found = opened(browser, report_folder / "report.html", viewport={"width": width, "height": height})
    xy = PREDICTION.locations.xy
    corners = [found.at(xy[row]) for row in np.concatenate([xy.argmin(axis=0), xy.argmax(axis=0)])]
    (left, top), (right, bottom) = np.min(corners, axis=0), np.max(corners, axis=0)
    stage = found.box("#stage")
    assert left >= stage["x"]
    assert top >= found.box("#heading")["y"] + found.box("#heading")["height"]
    assert right <= found.box(".toolbar")["x"]
    assert bottom <= min(found.box(part)["y"] for part in ("#scale-bar", "#legends"))
    # and it is not small: it takes half of a side
    assert max((right - left) / stage["width"], (bottom - top) / stage["height"]) > 0.5
    found.page.context.close()


def _refuse_overlaps(found: Opened) -> None:
    parts = ["#heading", ".toolbar", "#scale-bar", "#legends", ".side.left", ".side.right", "#region"]
    boxes = {part: found.box(part) for part in parts if found.page.locator(part).is_visible()}
    assert len(boxes) >= 4
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        apart = any(
            a[start] + a[size] <= b[start] + 0.5 or b[start] + b[size] <= a[start] + 0.5
            for start, size in (("x", "width"), ("y", "height"))
        )
        assert apart, (one, other)
    for part, box in boxes.items():
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= 390, part


def test_the_map_ends_where_its_locations_end(report: Opened) -> None:
    """The border of a map is as straight as its rows: beyond half a distance nothing is painted."""
    report.page.evaluate("histosge.update({ opacity: 1 })")
    xy = PREDICTION.locations.xy
    shown = np.array(report.page.evaluate("Array.from(shownLocations)"), dtype=bool)
    top = xy[shown][:, 1].min()
    spacing = report.page.evaluate("histosge.about.locations.spacing_um")
    box, pixels = report.box("#stage"), report.painted()
    _, y = report.at(np.array([0.0, top - 0.75 * spacing]))
    assert pixels[: int(y - box["y"]), :, 3].max() == 0
    assert pixels[..., 3].max() == 255
