"""The sections of a cohort stand side by side in a real browser, with one range of colours and one view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened_report import PREDICTION, SECTION, Opened, opened, run_folder
from typer.testing import CliRunner

from histosge.cli.application import application
from histosge.errors import UsageError
from histosge.prediction.factored import FactoredPrediction
from histosge.report import write_sections

# the second section lacks the last gene, and has twice the level
GENES = SECTION.genes


def second() -> FactoredPrediction:
    kept = PREDICTION.basis.take(np.arange(len(GENES) - 1))
    return replace(PREDICTION, basis=replace(kept, offset=2 * kept.offset, loadings=2 * kept.loadings))


def graded(prediction: FactoredPrediction) -> FactoredPrediction:
    grade = np.full(len(prediction.basis.genes), "strong")
    return replace(prediction, basis=replace(prediction.basis, grade=grade))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in the folder of a cohort."""
    folder = tmp_path_factory.mktemp("side") / "cohort"
    (folder / "sections").mkdir(parents=True)
    for name, prediction in {"A": PREDICTION, "B": second()}.items():
        run_folder(folder / "sections" / name, SECTION, graded(prediction))
    return folder


@pytest.fixture
def page(browser: Any, cohort: Path) -> Iterator[Opened]:
    found = opened(browser, write_sections(cohort, first="TUMOUR1"))
    yield found
    found.page.context.close()


def test_one_range_of_colours_for_all_sections(page: Opened) -> None:
    """Values are those of the files, and the range spans the values of all sections."""
    own = [PREDICTION.gene("TUMOUR1"), second().gene("TUMOUR1")]
    for at, values in enumerate(own):
        found = np.array(
            page.page.evaluate(
                f"histosge.panels[{at}].values(histosge.genes.indexOf('TUMOUR1')).then((v) => [...v])"
            )
        )
        assert len(found) <= len(values)
        assert abs(found.max() - values.max()) < 0.01
    low, high = page.page.evaluate("histosge.range")
    assert abs(high - np.quantile(np.concatenate(own), 0.99)) < 0.1
    assert high > 1.3 * np.quantile(own[0], 0.99)
    assert low < high
    captions = page.page.locator("figcaption").all_inner_texts()
    r = PREDICTION.basis.r_loo[int(np.flatnonzero(GENES == "TUMOUR1")[0])]
    assert captions == [f"A r {r:.2f}", f"B r {r:.2f}"]
    assert page.messages == []


def test_zoom_is_linked(page: Opened) -> None:
    """Zooming or dragging one section moves all of them alike."""
    places = (
        "histosge.panels.map((panel) => { const { scale, x, y } = panel.visible(); return [scale, x, y]; })"
    )
    before = np.array(page.page.evaluate(places))
    box = page.page.locator(".view").first.bounding_box()
    page.page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.page.mouse.wheel(0, -200)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 90, box["y"] + 70)
    page.page.mouse.up()
    page.page.wait_for_timeout(100)
    after = np.array(page.page.evaluate(places))
    assert after[0, 0] > 1.3 * before[0, 0]
    assert np.allclose(after[0], after[1])
    assert not np.allclose(after[:, 1:], before[:, 1:])
    page.page.locator("#fit").click()
    assert np.allclose(page.page.evaluate(places), before)


def test_a_gene_that_a_section_lacks_is_said_to_be_absent(page: Opened) -> None:
    """A section without the gene says so; an unknown gene is refused with a sentence."""
    page.page.locator("#search").fill(str(GENES[-1]).lower())
    page.page.keyboard.press("Enter")
    page.until(f"document.getElementById('status').textContent.startsWith('{GENES[-1]} in 1 of 2')")
    absent = page.page.locator(".view p")
    assert absent.nth(0).is_hidden()
    assert "not predicted" in absent.nth(1).inner_text()
    page.page.locator("#search").fill("nothing")
    page.page.keyboard.press("Enter")
    assert "No gene “nothing”" in page.page.locator("#no-gene").inner_text()


def test_the_command_writes_the_page_of_a_cohort(cohort: Path, tmp_path: Path) -> None:
    """`histosge report` of a cohort's folder writes sections.html; a folder without runs is refused."""
    done = CliRunner().invoke(application(), ["report", str(cohort), "--gene", "ZONE1"])
    assert done.exit_code == 0, done.output
    assert (cohort / "sections.html").is_file()
    with pytest.raises(UsageError, match="got none"):
        write_sections(tmp_path)
    with pytest.raises(UsageError, match="is not among"):
        write_sections(cohort, first="TUMUOR1")


def test_sections_named_by_identifiers_are_joined_with_those_named_by_symbols(tmp_path: Path) -> None:
    """A gene of both is one gene of the page, which both sections have; the page says so and finds the identifier."""
    sections = tmp_path / "cohort" / "sections"
    sections.mkdir(parents=True)
    ids = np.array([f"ENSG{number:011d}" for number in range(len(GENES))])
    for name, genes in {"A": ids, "B": GENES}.items():
        section = replace(SECTION, genes=genes, gene_ids=ids)
        prediction = graded(replace(PREDICTION, basis=replace(PREDICTION.basis, genes=genes)))
        run_folder(sections / name, section, prediction)

    page = write_sections(tmp_path / "cohort", first=str(ids[2])).read_text(encoding="utf-8")

    about = json.loads(page.split('id="about">')[1].split("</script>")[0])
    assert sorted(about["genes"]) == sorted(GENES)
    assert about["genes"][about["first"]] == GENES[2]
    assert all(min(section["rows"]) >= 0 for section in about["sections"])
    assert ids[2] in about["aliases"][str(about["first"])]
    assert f"{len(GENES)} by symbols that a section has beside them" in page
