"""``histosge benchmark --summary``: one table of several benchmarks, each figure or the reason why there is none."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

import histosge as hs
from histosge._runtime.records import write_record
from histosge.cli import commands
from histosge.evaluation.evaluate import evaluate
from histosge.evaluation.summary.cell import Cell, absent, words
from histosge.evaluation.summary.over_sections import disagreements
from histosge.evaluation.summary.read_folder import read_folder
from histosge.evaluation.summary.source_rows import read_stored, rows_of
from histosge.evaluation.summary.summarise import Summary, summarise
from histosge.evaluation.summary.tables import finer_truth_table


def invoke(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sections, two seeds, kriging, cokriging and a network of two epochs."""
    out = tmp_path_factory.mktemp("benchmarks") / "first"
    sections = [
        replace(hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section, name=f"S{seed}")
        for seed in range(3)
    ]
    models = ["cokriging", hs.Recipe("histosge", options={"epochs": 2})]
    evaluate(sections, models, seeds=2, genes="all", baselines=False, out=out)
    return out


def per_seed(folder: Path, model: str, preset: str = "") -> pd.Series:
    """Correlations at test spots, by section and seed, straight from the table of scores."""
    frame = pd.read_parquet(folder / "scores.parquet")
    mine = frame[(frame["model"] == model) & (frame["preset"] == preset) & (frame["set"] == "test")]
    mine = mine[mine["metric"] == "pcc"]
    return mine["value"].fillna(0.0).groupby([mine["section"].astype(str), mine["seed"]]).mean()


def row_of(table: pd.DataFrame, system: str, **labels: str) -> Any:
    mine = table[table["system"] == system]
    for name, value in labels.items():
        mine = mine[mine[name] == value]
    (index,) = mine.index
    return mine.loc[index]


def test_scores_have_no_rows_without_a_model(folder: Path) -> None:
    """What is known of genes, and of fits, stands in tables of its own; skill exists without the baselines."""
    scores = pd.read_parquet(folder / "scores.parquet")
    assert set(scores["model"]) == {"kriging", "cokriging", "histosge"}
    genes, fits = (pd.read_parquet(folder / f"{name}.parquet") for name in ("genes", "fits"))
    assert (genes.groupby(["section", "split", "seed"]).size() == 12).all()
    assert (genes["ceiling"] > 0).all()
    assert len(fits) == 3 * 2 * 3
    network = fits[fits["model"] == "histosge"]
    assert set(network["epochs"]) == {2}
    assert set(fits[fits["model"] == "kriging"]["windows_um"]) == {""}
    assert "55, 110, 220" in set(fits[fits["model"] == "cokriging"]["windows_um"])
    assert (fits["fit_wall_s"] > 0).all()
    rows = json.loads((folder / "scores.json").read_text())["rows"]
    assert all(row["skill"] is not None for row in rows if row["set"] == "test")


def test_differences_are_paired_and_have_an_interval_over_sections(folder: Path, tmp_path: Path) -> None:
    """Means, standard errors over seeds and the interval over sections are those of the table of scores."""
    table = summarise([folder], tmp_path).to_frame()
    mine, reference = per_seed(folder, "kriging"), per_seed(folder, "cokriging")
    row = row_of(table, "kriging", level="section", section="S1")
    assert row["r"] == pytest.approx(mine["S1"].mean())
    assert row["r_error"] == pytest.approx(mine["S1"].std(ddof=1) / 2**0.5)
    paired = mine["S1"] - reference["S1"]
    assert row["difference"] == pytest.approx(paired.mean())
    assert row["difference_error"] == pytest.approx(paired.std(ddof=1) / 2**0.5)
    pooled = row_of(table, "kriging", level="sections")
    by_section = (mine - reference).groupby(level=0).mean()
    limits = stats.ttest_1samp(by_section, 0.0).confidence_interval(0.95)
    assert pooled["difference"] == pytest.approx(by_section.mean())
    assert 2 * pooled["difference_error"] == pytest.approx(limits.high - limits.low)
    assert pooled["sections"] == 3
    # seeds are those of each section: the error of a mean of independent values
    errors = mine.groupby(level=0).std(ddof=1) / 2**0.5
    assert pooled["r_error"] == pytest.approx((errors**2).sum() ** 0.5 / 3)
    assert pooled["seeds"] == 2


def test_no_cell_is_empty_without_a_reason(folder: Path, tmp_path: Path) -> None:
    """A missing figure says why, in the page, the text and the table."""
    alone = tmp_path / "one"
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    evaluate(section, ["kriging", "idw"], seeds=1, genes="all", baselines=False, out=alone)
    summary = summarise([alone], tmp_path / "summary")
    texts = [text for table in summary.tables for row in table.texts() for text in row]
    assert all(text.strip() for text in texts)
    assert all(re.fullmatch(r"– \(.+\)", text) for text in texts if text.startswith("–"))
    row = row_of(summary.to_frame(), "idw", level="section")
    assert np.isnan(row["difference"])
    assert np.isnan(row["r_error"])
    for reason in ("no cokriging here", "no network", "gives no intervals", "reads no image"):
        assert reason in row["absent"], reason
    assert any(text.endswith("(one seed)") for text in texts)
    other = tmp_path / "two"
    evaluate(section, ["cokriging"], seeds=1, genes="all", baselines=False, out=other)
    pooled = [row for row in summarise([other], other).tables[0].texts() if row[0] == "kriging"]
    assert "1 section: no interval" in " ".join(pooled[0])


class Page(HTMLParser):
    """Counts elements, and keeps attributes that load something."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.loads += [
            str(value) for name, value in attrs if name in ("src", "href") and str(value)[:1] != "#"
        ]


def test_the_command_writes_a_page_a_table_and_a_text(folder: Path, tmp_path: Path) -> None:
    """The page loads nothing; every row is in it; the screen has the same tables; it can be written again."""
    for _ in range(2):
        result = invoke("benchmark", "--summary", folder, "--out", tmp_path)
        assert result.exit_code == 0, result.stderr
    text = (tmp_path / "summary.md").read_text()
    assert text.strip() in result.stdout
    page = Page()
    page.feed((tmp_path / "summary.html").read_text())
    assert page.loads == ["data:,"]
    table = pd.read_parquet(tmp_path / "summary.parquet")
    assert page.count["tr"] == len(table) + page.count["table"]
    assert page.count["table"] == 3
    assert "| histosge (epochs=2) |" in text
    printed = json.loads(invoke("benchmark", "--summary", folder, "--out", tmp_path, "--json").stdout)
    assert len(printed["rows"]) == len(table)


def test_the_folder_of_an_earlier_version_is_read_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    """Genes among the scores and no table of fits: scores are the same, training is said to be not recorded."""
    old = tmp_path / "first"
    shutil.copytree(folder, old)
    scores, genes = (pd.read_parquet(old / f"{name}.parquet") for name in ("scores", "genes"))
    melted = genes.melt(["section", "split", "seed", "gene"], var_name="metric", value_name="value")
    melted = melted.assign(set="pooled", model="", preset="", encoder="")
    joined = pd.concat([melted[scores.columns], scores.astype({"section": str})], ignore_index=True)
    joined.to_parquet(old / "scores.parquet", index=False)
    record = json.loads((old / "scores.json").read_text())
    for name in ("checksum", "schema", "files"):
        del record[name]
    write_record(old / "scores.json", record)
    for name in ("genes", "fits"):
        (old / f"{name}.parquet").unlink()
    with pytest.warns(hs.HistosgeWarning, match="An earlier version of histosge wrote 'first'"):
        was = summarise([old], tmp_path / "old")
    now = summarise([folder], tmp_path / "now").to_frame()
    columns = ["level", "system", "r", "r_error", "difference", "skill", "coverage", "expression_low"]
    pd.testing.assert_frame_equal(was.to_frame()[columns], now[columns])
    assert "epochs: – (not recorded)" in row_of(was.to_frame(), "kriging", level="sections")["absent"]
    assert any("Run the same command on that folder again" in message for message in was.messages)


def test_several_folders_make_a_table(folder: Path, tmp_path: Path) -> None:
    """Sections of both count once; different scores of one system on one section are named, other seeds are none."""
    other, fewer = tmp_path / "second", tmp_path / "third"
    sections = [
        replace(hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section, name="S0") for seed in (5, 0)
    ]
    evaluate(sections[0], ["cokriging"], seeds=2, genes="all", baselines=False, out=other)
    evaluate(sections[1], ["cokriging"], seeds=1, genes="all", baselines=False, out=fewer)
    summary = summarise([fewer, folder, other], tmp_path / "all")
    table = summary.to_frame()
    row = row_of(table, "kriging", level="sections")
    assert row["sections"] == 3
    # of two benchmarks the one with more seeds counts
    assert row["r"] == pytest.approx(per_seed(folder, "kriging").groupby(level=0).mean().mean())
    assert len(table[(table["system"] == "kriging") & (table["level"] == "section")]) == 5
    named = [message for message in summary.messages if message.startswith("kriging on S0, random:0.5: r is")]
    assert [message.count("second") for message in named] == [1]
    assert not [message for message in summary.messages if "r is" in message and "in first and" in message]


def test_rows_that_benchmarks_repeat_are_shown_once(folder: Path, tmp_path: Path) -> None:
    """Baselines with the same seeds and scores stand once by section; what was skipped is said once."""
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    record = json.loads((again / "scores.json").read_text())
    del record["checksum"]
    skipped = [
        {
            "section": name,
            "split": "sections",
            "model": "idw",
            "reason": f"'idw' needs spots, and '{name}' has none.",
        }
        for name in ("S0", "S1")
    ]
    write_record(again / "scores.json", record | {"skipped": skipped})
    summary = summarise([folder, again], tmp_path / "all")
    alone = summarise([folder], tmp_path / "alone").to_frame()
    columns = ["level", "system", "section", "r", "coverage", "benchmark"]
    pd.testing.assert_frame_equal(summary.to_frame()[columns], alone[columns])
    assert "again, sections: idw left out on S0, S1: the model needs spots, and the section has none." in [
        *summary.messages
    ]
    named = next(text for text in summary.messages if text.startswith("first: Written with histosge"))
    assert named.endswith("cores.")


def test_an_earlier_summary_stands_for_its_folders(folder: Path, tmp_path: Path) -> None:
    """A summary of a summary is the same table; with another folder it is that of both folders, to the last digit."""
    other = tmp_path / "second"
    section = replace(hs.synthetic(columns=8, rows=8, genes=12, seed=5).section, name="S3")
    evaluate(section, ["cokriging", "depth"], seeds=1, genes="all", baselines=False, out=other)
    first = summarise([folder], tmp_path / "first")
    stored = tmp_path / "first" / "summary.parquet"
    again = summarise([stored], tmp_path / "again")
    assert again.messages == first.messages
    assert again.sources == first.sources
    assert again.markdown() == first.markdown()
    pd.testing.assert_frame_equal(again.to_frame(), first.to_frame())
    assert (tmp_path / "again" / "summary.html").read_bytes() == (
        tmp_path / "first" / "summary.html"
    ).read_bytes()
    twice = tmp_path / "copy.parquet"
    shutil.copyfile(stored, twice)
    assert summarise([stored, twice], tmp_path / "twice").markdown() == first.markdown()
    both = summarise([stored, other], tmp_path / "joined")
    assert both.markdown() == summarise([folder, other], tmp_path / "both").markdown()
    assert row_of(both.to_frame(), "cokriging", level="sections")["sections"] == 4


def test_rows_measured_anew_replace_those_of_an_earlier_summary(folder: Path, tmp_path: Path) -> None:
    """Of one fit the folder counts, whichever comes first, and it is said; fits that the folder lacks stay."""
    summarise([folder], tmp_path / "old")
    stored, changed = tmp_path / "old" / "summary.parquet", tmp_path / "new" / folder.name
    evaluate(
        [replace(hs.synthetic(columns=8, rows=8, genes=12, seed=9).section, name="S1")],
        ["cokriging"],
        seeds=2,
        genes="all",
        baselines=False,
        out=changed,
    )
    for order in ([stored, changed], [changed, stored]):
        with pytest.warns(hs.HistosgeWarning, match=r"those of the folders: 2 of first\. Rename a folder"):
            table = summarise(order, tmp_path / "joined").to_frame()
        mine = table[(table["system"] == "kriging") & (table["level"] == "section")].set_index("section")["r"]
        assert mine["S0"] == pytest.approx(per_seed(folder, "kriging")["S0"].mean())
        assert mine["S1"] == pytest.approx(per_seed(changed, "kriging")["S1"].mean())
        assert row_of(table, "histosge (epochs=2)", level="section", section="S1")["r_error"] > 0


def test_rows_against_a_finer_truth_are_kept(tmp_path: Path) -> None:
    """Cells of a row are read back as they were shown, and give way to those of the same folder."""
    row = {
        name: Cell("0.2500 (one seed)", 0.25) if name in ("r", "difference") else Cell(name, name)
        for name in [column.key for column in finer_truth_table([]).columns]
    }
    row |= {"coverage": absent("gives no intervals"), "seeds": Cell("1", 1.0), "epochs": Cell("9 (4)", 9.0)}
    numbers = dict.fromkeys(("inside", "between", "given_depth", "of_ceiling", "cpu_s"), Cell("0.5", 0.5))
    numbers |= dict.fromkeys(("skill", "undefined", "fit_s"), Cell("0.5", 0.5))
    frame = Summary((finer_truth_table([row | numbers]),), ("It ran.",), (), ("fine",)).to_frame()
    frame.to_parquet(tmp_path / "summary.parquet")
    read = read_stored(tmp_path / "summary.parquet")
    assert [dict(part) for part in read.finer] == [row | numbers]
    assert read.sentences == ("It ran.",)
    assert not read.without(set(read.fits())).finer


def test_random_weights_have_one_word(folder: Path, tmp_path: Path) -> None:
    """The column says `random`, whichever words a fit or an earlier summary has for it."""
    other = relabelled(folder, tmp_path / "second", {})
    fits = pd.read_parquet(other / "fits.parquet")
    is_network = fits["is_network"]
    fits.loc[is_network, "initialisation"] = "random initialisation"
    fits.to_parquet(other / "fits.parquet", index=False)
    table = summarise([other], tmp_path / "new").to_frame()
    assert set(table["initialisation"].dropna()) == {"random", ""}
    stored = table.replace({"random": "random initialisation"})
    shown = [text.replace('"random"', '"random initialisation"') for text in stored["shown"]]
    assert any("random initialisation" in text for text in shown)
    stored = stored.assign(shown=shown)
    stored.attrs = table.attrs
    stored.to_parquet(tmp_path / "old.parquet", index=False)
    again = summarise([tmp_path / "old.parquet"], tmp_path / "again")
    assert set(again.to_frame()["initialisation"].dropna()) == {"random", ""}
    assert "random initialisation" not in again.markdown()


def test_different_scores_of_one_fit_have_a_true_reason(folder: Path, tmp_path: Path) -> None:
    """What is recorded as different is named; where nothing is, every possible reason that nothing excludes."""
    (row, *_) = [row for row in rows_of(read_folder(folder)).sections if row.model == "histosge"]

    def said(version: str = "histosge 1", **cells: str) -> str:
        other = replace(
            row,
            benchmark="other",
            version=version,
            by_seed={seed: value + 0.01 for seed, value in row.by_seed.items()},
            cells=dict(row.cells) | {name: words(text, "not recorded") for name, text in cells.items()},
        )
        named = dict(row.cells) | {"device": Cell("cpu: A", "cpu: A")}
        (sentence,) = disagreements([replace(row, version="histosge 1", cells=named), other])
        return sentence.partition("of the same seeds. ")[2].partition(" Over sections")[0]

    other_device = "device (cpu: A; cuda: B)"
    assert said(device="cuda: B") == f"Recorded as different: {other_device}."
    assert said("histosge 2", device="cuda: B") == (
        f"Recorded as different: {other_device}, version (histosge 1; histosge 2)."
    )
    assert "width of the windows (55, 110, 220; 80)" in said(device="cpu: A", windows_um="80")
    begin, end = (
        "Nothing is recorded as different: it is another section of that name",
        "which training amplifies.",
    )
    assert said(device="cpu: A") == f"{begin}, or rounding, {end}"
    for device in ("", "cpu"):
        assert said(device=device) == f"{begin}, another device, or rounding, {end}"
    assert said("", device="") == f"{begin}, another device, another version, or rounding, {end}"
    row = replace(row, cells=dict(row.cells) | {"epochs": absent("no network")})
    assert said(device="cpu: A") == f"{begin}, or rounding."


def test_the_page_sorts_in_a_browser(folder: Path, tmp_path: Path, browser: Any) -> None:
    """A click on a heading sorts by its numbers, highest first, missing ones last; a second click turns the order."""
    table = summarise([folder], tmp_path).tables[1]
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((tmp_path / "summary.html").as_uri())
    # wide tables scroll in their own frame
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    column = next(index for index, part in enumerate(table.columns) if part.key == "epochs")
    for clicks in range(2):
        page.locator("#table-1 thead button").nth(column).click()
        shown = page.locator(f"#table-1 tbody tr > :nth-child({column + 1})").all_inner_texts()
        assert shown[0].startswith("2 ("), clicks
        assert shown[-1] == "– (no network)"
    column = next(index for index, part in enumerate(table.columns) if part.key == "r")
    for sign in (-1, 1):
        page.locator("#table-1 thead button").nth(column).click()
        texts = page.locator(f"#table-1 tbody tr > :nth-child({column + 1})").all_inner_texts()
        values = [float(text.split()[0]) for text in texts]
        assert values == sorted(values, key=lambda value, sign=sign: sign * value)
    page.close()


def relabelled(folder: Path, to: Path, encoders: dict[str, str]) -> Path:
    """Copy a benchmark as if models had read the features of other encoders."""
    shutil.copytree(folder, to)
    for name in ("scores", "fits"):
        frame = pd.read_parquet(to / f"{name}.parquet").astype({"model": str, "encoder": str})
        frame["encoder"] = frame["model"].map(encoders).fillna(frame["encoder"])
        frame.to_parquet(to / f"{name}.parquet", index=False)
    record = json.loads((to / "scores.json").read_text())
    for name in ("checksum", "files"):
        del record[name]
    for row in record["rows"]:
        row["encoder"] = encoders.get(row["model"], row["encoder"])
    write_record(to / "scores.json", record)
    return to


def test_only_what_compares_is_paired(folder: Path, tmp_path: Path) -> None:
    """A system is compared with cokriging on its own features; differences to several encoders are never averaged."""
    other = relabelled(folder, tmp_path / "second", {"cokriging": "uni", "histosge": "virchow"})
    table = summarise([folder, other], tmp_path / "both").to_frame()
    pooled = table[table["level"] == "sections"]
    kriging = pooled[pooled["system"] == "kriging"]
    assert set(kriging["reference"]) == {"cokriging, texture", "cokriging, uni"}
    assert set(kriging["sections"]) == {3}
    networks = pooled[pooled["system"] == "histosge (epochs=2)"].set_index("encoder")
    assert np.isfinite(networks.loc["texture", "difference"])
    assert np.isnan(networks.loc["virchow", "difference"])
    assert "no cokriging on these features" in networks.loc["virchow", "absent"]


def test_genes_chosen_on_all_spots_stand_apart(folder: Path, tmp_path: Path) -> None:
    """A benchmark whose genes were chosen with test spots is in no mean with others."""
    other = relabelled(folder, tmp_path / "second", {})
    record = json.loads((other / "scores.json").read_text())
    del record["checksum"]
    write_record(other / "scores.json", record | {"hvg_scope": "all"})
    pooled = summarise([folder, other], tmp_path / "both").to_frame().query("level == 'sections'")
    assert set(pooled[pooled["system"] == "kriging"]["genes"]) == {"all", "all of all spots"}


def test_what_cannot_be_summarised_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    """Other folders, unfinished benchmarks, foreign outputs, plans and folders taken for each other."""
    (tmp_path / "empty").mkdir()
    unfinished = tmp_path / "unfinished"
    shutil.copytree(folder / "trials", unfinished / "trials")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "summary.md").write_text("my notes")
    summarise([folder], tmp_path / "stored")
    stored, old = tmp_path / "stored" / "summary.parquet", tmp_path / "old.parquet"
    pd.read_parquet(stored).drop(columns="shown").to_parquet(old)
    (tmp_path / "text.parquet").write_text("my notes")
    before = stored.read_bytes()
    cases = (
        (["--summary", stored, "--out", tmp_path / "stored"], "is an input"),
        (["--summary", old], "lacks the columns shown"),
        (["--summary", folder / "scores.parquet"], "Expected a `summary.parquet`"),
        (["--summary", tmp_path / "empty"], "filled, got"),
        (["--summary", tmp_path / "nothing"], "does not exist"),
        (["--summary", unfinished], "has not finished: 18 fits are done"),
        (["--summary", folder, folder], "given twice"),
        (["--summary", folder, "--out", tmp_path / "own"], "did not write"),
        (["--summary", folder, "--scheduler", "slurm"], "leave --scheduler out"),
        ([folder], "Use --summary"),
        ([folder, folder], "Expected one plan"),
    )
    for arguments, sentence in cases:
        result = invoke("benchmark", *arguments)
        assert result.exit_code == 2, arguments
        assert sentence in " ".join(result.stderr.split()), (arguments, result.stderr)
    assert (tmp_path / "own" / "summary.md").read_text() == "my notes"
    assert stored.read_bytes() == before
    unreadable = invoke("benchmark", "--summary", tmp_path / "text.parquet", "--out", tmp_path / "none")
    assert unreadable.exit_code != 0
    assert "is missing or damaged" in unreadable.stderr
    assert not (tmp_path / "none").exists()
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "fits.parquet").write_bytes(b"PAR1")
    assert "is missing or damaged" in invoke("benchmark", "--summary", damaged).stderr
