"""The scripts and plans of benchmarks/: they load, and the paper's comparisons are what they say."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import UsageError
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.plan_file import read_plan
from histosge.evaluation.summary.cell import Cell, absent, number, words
from histosge.evaluation.summary.summarise import Summary, summarise
from histosge.evaluation.summary.tables import Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a script of benchmarks/."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        sys.modules.pop(name, None)
        return __import__(name)

    return load


def plan_file(folder: Path, text: str, name: str = "one") -> Path:
    write_spaceranger(synthetic(columns=12, rows=12, genes=40).section, folder / "one")
    path = folder / "plan.toml"
    path.write_text(
        f'sections = [{{ path = "one", name = "{name}" }}]\nseeds = [0]\ngenes = "hvg:20"\n{text}\n'
    )
    return path


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_every_script_loads(script: Any, name: str) -> None:
    """Every script imports names that exist, and has a main function, but for the module that they share."""
    assert hasattr(script(name), "main") == (name != "divided_section")


def test_every_plan_can_be_read(script: Any) -> None:
    """Every plan in benchmarks/ names models, presets and options that exist."""
    paths = sorted(BENCHMARKS.glob("*.toml"))
    assert {"quick.toml", "full.toml", "deviations.toml"} <= {path.name for path in paths}
    for path in paths:
        plan = script("deviations").read(path)[0] if path.stem == "deviations" else read_plan(path)
        assert list(plan.trials())


def test_every_plan_is_in_the_documents() -> None:
    """The table of plans in docs/evaluating-models.md names every plan, and each plan says how it is run."""
    page = (BENCHMARKS.parent / "docs" / "evaluating-models.md").read_text()
    for path in sorted(BENCHMARKS.glob("*.toml")):
        assert f"`{path.name}`" in page, path.name
        assert re.search(
            rf"^# +(histosge|python) .*benchmarks/{path.name}", path.read_text(), flags=re.MULTILINE
        )


def test_the_one_table_is_of_commands_that_are_committed(script: Any) -> None:
    """Each of its plans is a file here; a part of its text is replaced whole, and an unknown part is refused."""
    table = script("one_table")
    plans = [command.split()[2] for command in table.BENCHMARKS.values() if " benchmark " in command]
    assert len(plans) > 5
    assert all((BENCHMARKS.parent / plan).is_file() for plan in plans)
    text = "A\n<!-- made: first -->\nold\n<!-- end -->\nB\n"
    assert table.replaced(text, {"first": "| new |"}).split() == [
        *("A", "<!--", "made:", "first", "-->", "|", "new", "|", "<!--", "end", "-->", "B")
    ]
    with pytest.raises(SystemExit, match="has 0 parts 'second'"):
        table.replaced(text, {"second": ""})


def test_the_page_of_all_benchmarks_is_that_of_its_table(script: Any, tmp_path: Path) -> None:
    """The committed page and the texts beside it are what `one_table.py` makes of the committed table."""
    table = script("one_table")
    summary = summarise([table.STATIC / "one-table.parquet"], tmp_path)
    made, committed = (
        re.sub(r'content="histosge [^"]+"', "", path.read_text())
        for path in (tmp_path / "summary.html", table.STATIC / "one-table.html")
    )
    assert made == committed, "run `python benchmarks/one_table.py runs`"
    page = table.PAGE.read_text()
    assert table.replaced(page, table.texts_of(summary)) == page
    frame = summary.to_frame()
    assert set(frame["level"]) == {"sections", "section", "finer truth", "coverage"}
    assert len(frame) > 500


def test_rows_that_a_plan_still_lacks_are_named(script: Any) -> None:
    """A row counts with all seeds, on its encoder, from any benchmark; systems lacking the same rows are one group."""
    table = script("one_table")
    name = "three_tissues"
    seeds = float(len(table.plan_of(name).seeds))
    systems = dict.fromkeys(("cokriging", "histosge (corrected)", "boosting"), "texture")
    systems |= {"cokriging (positions)": ""}
    labels = {"level": "section", "split": "random:0.5", "seeds": seeds}
    rows = [
        labels | {"section": section, "system": system, "encoder": encoder}
        for section in ("C2", "MOB1", "mouse_brain_dg")
        for system, encoder in systems.items()
    ]
    frame = pd.DataFrame(rows)
    assert table.missing_rows(name, frame) == ""
    on_c2 = frame["section"] == "C2"
    frame.loc[on_c2 & (frame["system"] == "boosting"), "seeds"] = seeds - 1
    frame.loc[on_c2 & (frame["system"] == "histosge (corrected)"), "encoder"] = "uni"
    assert (
        table.missing_rows(name, frame) == f"{name} has no row yet of histosge (corrected), boosting on C2."
    )
    # what is missing for every split, or on every section, is not listed one by one
    text = table.missing_rows("all_sections", frame.iloc[:0])
    assert text.endswith(", histosge (corrected) on every section (random:0.5, sublattice:4, blocks:6).")
    missing = "pub_istar_spot has no row yet of ridge, istar (spot) on C2."
    assert table.missing_rows("pub_istar_spot", frame) == missing


def test_an_evaluation_without_rows_against_a_finer_truth_is_named(script: Any) -> None:
    """Rows by section do not count for it; with a row of each of its systems, of any scale, nothing is missing."""
    table = script("one_table")
    systems = {"cokriging": "texture", "stentrans (doubled)": ""} | dict.fromkeys(
        ("istar", "bleep", "mclstexp"), "texture"
    )
    systems |= {"bayesspace": "", "tesla": ""}
    rows = [
        {"level": "finer truth", "truth": "xenium_breast_rep1, visium", "seeds": 1.0}
        | {"system": system, "encoder": encoder}
        for system, encoder in systems.items()
    ]
    frame = pd.DataFrame(rows)
    assert table.missing_rows("fine_rivals", frame) == ""
    frame.loc[frame["system"] == "stentrans (doubled)", "level"] = "section"
    missing = "fine_rivals has no row yet of stentrans (doubled) on xenium_breast_rep1."
    assert table.missing_rows("fine_rivals", frame) == missing


def measured(system: str, r: float, *, benchmark: str = "a", **scores: float | None) -> dict[str, Cell]:
    """Return a row by section whose cokriging has r 0.3 in the benchmark a and 0.2 in b."""
    difference = round(r - {"a": 0.3, "b": 0.2}[benchmark], 4)
    values = {"r": r, "given_depth": scores.get("given_depth"), "skill": scores.get("skill")}
    names = {"section": "C2", "split": "random:0.5", "genes": "all", "seeds": "1"}
    return (
        {name: words(text, "") for name, text in (names | {"benchmark": benchmark}).items()}
        | {name: number(value) for name, value in values.items()}
        | {"system": words(system, ""), "reference": words("cokriging, texture", "")}
        | {
            "difference": absent("this is cokriging")
            if system == "cokriging"
            else number(difference, signed=True)
        }
    )


def test_who_is_ahead_of_cokriging_counts_systems_apart_from_baselines(script: Any) -> None:
    """Repeats of several folders count once, each against its own cokriging; each score has its own sentence."""
    rows = [
        measured("cokriging", 0.3, given_depth=0.2, skill=0.1),
        measured("cokriging", 0.2, benchmark="b", given_depth=0.1),
        measured("bleep", 0.25, given_depth=0.15, skill=0.05),
        measured("bleep", 0.18, benchmark="b", given_depth=0.12),
        measured("istar", 0.28, given_depth=0.1),
        measured("ridge", 0.26, given_depth=0.1, skill=0.02),
        measured("mean", 0.0, given_depth=0.0, skill=-0.1),
    ]
    summary = Summary((Table("section", "", "", (), tuple(rows)),), (), (), ())
    head, r, given_depth, skill = script("one_table").ahead(summary).splitlines()
    assert head.startswith("* By section")
    assert r == (
        "  * r at test spots: **No system of the paper or rival is ahead of `cokriging` in any of 2 rows**; nearest is "
        "istar on C2, random:0.5: -0.0200. No baseline is ahead of `cokriging` in any of 2 rows; nearest is ridge on "
        "C2, random:0.5: -0.0400."
    )
    ahead = "A system of the paper or rival is ahead of `cokriging` in 1 of 2 rows: bleep on C2, random:0.5: +0.0200."
    assert ahead in given_depth
    assert "in any of 1 rows**; nearest is bleep on C2, random:0.5: -0.0500." in skill


def test_domains_have_their_median_over_sections(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each method the median over sections of the means over seeds; of one section there is none."""
    agreements = {"A": (0.2, 0.4), "B": (0.5, 0.5), "C": (0.8, 1.0)}
    rows = [
        {"section": section, "source": "raw", "method": "kmeans", "seed": seed}
        | {"ari": values[seed], "nmi": 0.5, "cluster_cpu_s": 1.0}
        for section, values in agreements.items()
        for seed in (0, 1)
    ]
    script("domains").print_table(rows)
    assert "| raw | kmeans | 3 | 0.500 |" in capsys.readouterr().out
    script("domains").print_table(rows[:2])
    assert "median" not in capsys.readouterr().out


def test_deviations_are_switched_one_at_a_time(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each difference of two presets is a row with its gain, between the two presets."""
    shared = "epochs = 1, hidden = 8, width = 8, patience = 1, validation = 0.2"
    text = f"""baselines = false
deviations = [{{ model = "histosge:published", towards = "corrected", {shared} }}]"""
    arguments = ["deviations.py", str(plan_file(tmp_path, text)), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    script("deviations").main()
    records = json.loads((tmp_path / "out" / "deviations.json").read_text())
    rows = {record["switched"]: record for record in records}
    names = ["crop", "colour order", "scale of the input", "position", "attention", "size", "dropout"]
    assert list(rows) == ["nothing", *names, "output", "target", "optimiser", "everything"]
    assert rows["nothing"]["test_gain"] == rows["nothing"]["pooled_gain"] == 0
    for name, row in rows.items():
        assert row["test_gain"] == pytest.approx(row["test"] - rows["nothing"]["test"]), name
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["rows"]
    (corrected,) = [row for row in scores if row["preset"].startswith("corrected") and row["set"] == "test"]
    assert rows["everything"]["test"] == corrected["pcc"]
    assert "published → corrected" in (tmp_path / "out" / "deviations.md").read_text()


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"model": "idw:a", "towards": "b"}, "names no deviations"),
        ({"model": "histosge:a", "towards": "paper"}, "presets"),
        ("histosge", "`towards`"),
    ],
)
def test_a_deviation_that_does_not_exist_is_refused(script: Any, item: Any, message: str) -> None:
    """A deviation names a model with deviations and two of its presets."""
    with pytest.raises(UsageError, match=message):
        script("deviations").Switch.parse(item)


def test_the_papers_table_has_its_values_and_ours(script: Any, tmp_path: Path) -> None:
    """A section with one of the paper's names shows its values beside the scores over all spots and test spots."""
    small = 'backbone = "test_resnet", network_px = 32, initialisation = "random"'
    text = f"""models = [
        {{ model = "histosge:published", epochs = 1 }},
        {{ model = "stnet:paper", epochs = 1, {small} }},
    ]"""
    benchmark(plan_file(tmp_path, text, "151673"), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    lines = script("papers_table").markdown(content).splitlines()
    assert "### PCC, random:0.5" in lines
    assert "### MAE, random:0.5" in lines
    assert sum(line.startswith("| histosge (published") and "0.6725" in line for line in lines) == 1
    stnet = [line.split(" |")[0] for line in lines if line.startswith("| stnet")]
    assert len(stnet) == 3
    assert all(line.endswith("random initialisation)") for line in stnet)
    # the row that the printed values must be compared with
    (memorisation,) = [line for line in lines if line.startswith("| memorisation | – | 0.7")]
    assert memorisation.endswith("| 0.0000 |")
