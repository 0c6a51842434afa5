"""``histosge evaluate`` and ``histosge benchmark``: honest scores of a section on disk, the same ones every time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import DataError
from histosge.evaluation import trial as cells
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.entry import BASELINES
from histosge.evaluation.plan import Plan
from histosge.evaluation.study import Pipeline
from histosge.section.genes import select
from histosge.workflow.compute import Compute

BASELINE_ROWS = {(entry.model, entry.variant) for entry in BASELINES}


def call(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small sections, of two patients."""
    path = tmp_path_factory.mktemp("sections")
    for name, seed in (("one", 0), ("two", 1)):
        write_spaceranger(synthetic(columns=12, rows=12, genes=40, seed=seed).section, path / name)
    return path


def plan(room: Path, text: str = "", sections: str = '["one"]') -> Path:
    path = room / f"plan-{abs(hash(text + sections))}.toml"
    path.write_text(f'sections = {sections}\nseeds = [0]\ngenes = "hvg:20"\n{text}\n')
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def judged(room: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What one ``evaluate`` wrote, and its answer."""
    out = tmp_path_factory.mktemp("scores")
    words = ("--models", "boosting,histosge:published", "--set", "epochs=2", "--set", "trees=5", "--seeds", 2)
    answer = call("evaluate", room / "one", *words, "--genes", "hvg:20", "--out", out, "--json")
    assert answer.exit_code == 0, answer.stderr
    return out, json.loads(answer.stdout)


def row(content: dict[str, Any], model: str, scored: str, preset: str = "") -> dict[str, Any]:
    (found,) = [
        each
        for each in content["rows"]
        if (each["model"], each["set"], each["preset"]) == (model, scored, preset)
    ]
    return found  # type: ignore[no-any-return]


def test_one_command_prints_all_rows(judged: tuple[Path, dict[str, Any]]) -> None:
    """The models asked for and every baseline have scores on the three sets, from two seeds."""
    _, content = judged
    asked = {("boosting", "trees=5"), ("histosge", "published, epochs=2")}
    for scored in ("test", "training", "pooled"):
        rows = {(each["model"], each["preset"]) for each in content["rows"] if each["set"] == scored}
        assert rows == BASELINE_ROWS | asked
    assert {each["seeds"] for each in content["rows"]} == {2}


def test_the_memoriser_shows_what_the_published_score_is_worth(judged: tuple[Path, dict[str, Any]]) -> None:
    """No skill at all: about 0.71 over all spots, 1 on those fitted, nothing defined on those removed."""
    _, content = judged
    assert row(content, "memorisation", "pooled")["pcc_defined"] == pytest.approx(0.71, abs=0.03)
    assert row(content, "memorisation", "training")["pcc"] == pytest.approx(1.0, abs=1e-6)
    test = row(content, "memorisation", "test")
    assert (test["pcc"], test["pcc_undefined"], test["pcc_defined"]) == (0, 1, None)
    assert row(content, "kriging", "test")["skill"] == pytest.approx(0.0, abs=1e-12)


def test_the_tables_are_what_the_documents_say(judged: tuple[Path, dict[str, Any]]) -> None:
    """One tidy table with its ten columns, a summary, costs, a page of Markdown and three figures."""
    out, content = judged
    frame = pd.read_parquet(out / "scores.parquet")
    names = ["section", "split", "set", "model", "preset", "encoder", "seed", "gene", "metric", "value"]
    assert list(frame.columns) == names
    assert not frame.duplicated(names[:-1]).any()
    stored = json.loads((out / "scores.json").read_text())
    assert stored["rows"] == content["rows"]
    kriging = frame[(frame["model"] == "kriging") & (frame["set"] == "test") & (frame["metric"] == "mse")]
    by_seed = kriging.groupby("seed", observed=True)["value"].mean()
    assert row(content, "kriging", "test")["mse"] == pytest.approx(by_seed.mean(), rel=1e-12)
    costs = json.loads((out / "costs.json").read_text())["cells"]
    assert all(
        {"fit_wall_s", "fit_cpu_s", "fit_peak_mb", "predict_wall_s"} <= set(each["cost"]) for each in costs
    )
    assert "in-sample" in (out / "scores.md").read_text()
    assert len(list((out / "figures").glob("*.png"))) == 3
    assert all((out / name).exists() for name in content["files"])


def test_the_split_is_written_down(judged: tuple[Path, dict[str, Any]]) -> None:
    """Every spot of the section, by barcode, with what it was used for, once a seed."""
    out, _ = judged
    paths = sorted((out / "splits").iterdir())
    assert [path.name for path in paths] == ["one_random-0.5_seed0.tsv", "one_random-0.5_seed1.tsv"]
    tables = [pd.read_csv(path, sep="\t", index_col="spot")["set"] for path in paths]
    for table in tables:
        assert abs(table.value_counts()["training"] - len(table) / 2) <= 1
        assert set(table) == {"training", "test"}
    assert not tables[0].equals(tables[1])


def test_sections_of_one_name_are_told_apart(room: Path, tmp_path: Path) -> None:
    """A plan must name them; ``evaluate`` names folders such as ``outs`` by where they are."""
    path = plan(room, "", '["one", { path = "two", name = "one" }]')
    answer = call("benchmark", path, "--out", tmp_path / "out")
    assert answer.exit_code == 2
    assert "Give them names" in answer.stderr
    for name in ("c", "d"):
        (tmp_path / name).mkdir()
        write_spaceranger(synthetic(columns=8, rows=8, genes=20).section, tmp_path / name / "outs")
    words = ("--models", "mean", "--seeds", 1, "--genes", "all", "--out", tmp_path / "scores", "--json")
    answer = call("evaluate", tmp_path / "c" / "outs", tmp_path / "d" / "outs", *words)
    assert answer.exit_code == 0, answer.stderr
    assert {each["section"] for each in json.loads(answer.stdout)["rows"]} == {"c/outs", "d/outs"}


def test_figures_show_the_numbers_of_the_table(judged: tuple[Path, dict[str, Any]]) -> None:
    """Means over seeds and genes in the figures are those of the summary; the check model is left out."""
    from histosge.figures.scores import _by_gene

    out, content = judged
    shown = _by_gene(pd.read_parquet(out / "scores.parquet")).mean()
    assert len(shown) == len(BASELINE_ROWS) + 2 - 1
    for model in ("kriging", "ridge", "mean"):
        assert shown[model] == pytest.approx(row(content, model, "test")["pcc"], abs=1e-12)


def test_two_runs_are_equal_byte_for_byte(room: Path, tmp_path: Path) -> None:
    """Scores of a plan with a network, run twice, in one process and in two, are the same bytes."""
    path = plan(room, 'models = [{ model = "histosge", epochs = 2 }, "boosting"]\nbaselines = false')
    for name, jobs in (("a", 1), ("b", 1), ("c", 2)):
        answer = call("benchmark", path, "--out", tmp_path / name, "--jobs", jobs)
        assert answer.exit_code == 0, answer.stderr
    first = contents(tmp_path / "a")
    scores = [name for name in first if name.endswith(("scores.parquet", "scores.json"))]
    assert len(scores) == 4
    for other in ("b", "c"):
        again = contents(tmp_path / other)
        assert all(again[name] == first[name] for name in scores)


def test_a_cell_writes_nothing_outside_its_folder(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home, caches, working folder and the section's own folder stay as they were."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR", "MPLCONFIGDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "TMPDIR"))
    words = 'models = [{ model = "histosge", epochs = 2 }, "ridge"]\nbaselines = false'
    planned = Plan.read(plan(room, words))
    before = contents(room)
    for index, each in enumerate(planned.cells()):
        cells.run_cell(planned, each, Compute(), tmp_path / "cells" / str(index))
    assert contents(room) == before
    files = {Path(name) for name in contents(tmp_path)}
    assert {path.parts[0] for path in files} == {"cells"}
    assert {path.name for path in files} == {"scores.parquet", "cell.json"}
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {"0", "1"}


def test_a_killed_benchmark_goes_on_where_it_was(room: Path, tmp_path: Path) -> None:
    """After ``kill -9`` the cells that are done stay and are not run again; the scores are those of an unbroken run."""
    path = plan(room, 'splits = ["random:0.5", "sublattice:3"]')
    code = """
import os, signal, sys
from pathlib import Path
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.plan import Plan
from histosge.workflow.compute import Compute
def stop(done, total, text):
    if text == "judging" and done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
benchmark(Plan.read(Path(sys.argv[1])), Path(sys.argv[2]), Compute(progress=stop))
"""
    killed = tmp_path / "killed"
    process = subprocess.run([sys.executable, "-c", code, str(path), str(killed)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "scores.json").exists()
    done = sorted((killed / "cells").iterdir())
    assert len(done) == 5
    # what a kill in the middle of a cell leaves behind
    (killed / "cells" / ".half-written").mkdir()
    (killed / "cells" / ".half-written" / "scores.parquet").write_bytes(b"PAR1")
    before = {folder.name: (folder / "cell.json").stat().st_mtime_ns for folder in done}
    seen: list[int] = []
    planned = Plan.read(path)
    benchmark(planned, killed, Compute(progress=lambda _, total, text: seen.append(total)))
    total = len(list(planned.cells()))
    assert seen[-1] == total - 5
    assert all(
        (killed / "cells" / name / "cell.json").stat().st_mtime_ns == at for name, at in before.items()
    )
    benchmark(planned, tmp_path / "whole", Compute())
    for name in ("scores.parquet", "scores.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_is_done_is_not_done_again_and_what_changed_is(room: Path, tmp_path: Path) -> None:
    """A second run fits nothing; another seed or option fits only what is new."""

    def run(text: str) -> int:
        seen = [0]
        benchmark(Plan.read(plan(room, text)), tmp_path, Compute(progress=lambda _, n, t: seen.append(n)))
        return seen[-1]

    usual = 'models = ["nearest", { model = "idw", neighbours = 5 }]\nbaselines = false'
    assert run(usual) == 2
    assert run(usual) == 0
    assert run(usual.replace("5", "6")) == 1


def test_a_leak_stops_the_run_and_leaves_nothing(room: Path, tmp_path: Path) -> None:
    """A cell whose pipeline leaks is an error with its cell unwritten; the paper's genes must be declared."""
    planned = Plan.read(plan(room, "baselines = true"))
    leaking = Pipeline.honest()
    leaking = Pipeline(lambda study: select(study.target, study.genes), leaking.gather, leaking.learn)
    scope = Plan.read(plan(room, 'hvg_scope = "all"'))
    cell = next(iter(planned.cells()))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr("histosge.evaluation.study.choose", leaking.choose)
        cells._chosen.cache_clear()
        with pytest.raises(DataError, match="gene panel depends on removed spots"):
            cells.run_cell(planned, cell, Compute(), tmp_path / "cell", pipeline=leaking)
    cells._chosen.cache_clear()
    assert not list(tmp_path.iterdir())
    content = benchmark(scope, tmp_path / "declared", Compute())
    assert any("gene panel" in leak for leak in content["leaks_declared"])
    assert "Declared leak" in (tmp_path / "declared" / "scores.md").read_text()


def test_whole_sections_and_patients_are_removed(room: Path, tmp_path: Path) -> None:
    """With another section to learn from, image models answer, and interpolators are passed over, and say so."""
    pair = '[{ path = "one", patient = "A" }, { path = "two", patient = "B" }]'
    path = plan(room, 'splits = ["sections", "patients"]', pair)
    answer = call("benchmark", path, "--out", tmp_path, "--json")
    assert answer.exit_code == 0, answer.stderr
    content = json.loads(answer.stdout)
    assert {each["section"] for each in content["rows"]} == {"one", "two"}
    assert {each["model"] for each in content["rows"]} == {"mean", "ridge"}
    assert {each["set"] for each in content["rows"]} == {"test", "pooled"}
    assert {each["model"] for each in content["passed_over"]} == {"kriging", "idw", "nearest", "memorisation"}
    same = plan(
        room, 'splits = ["patients"]', '[{ path = "one", patient = "A" }, { path = "two", patient = "A" }]'
    )
    told = ("--models", "mean", "--split", "patients", "--genes", "hvg:20", "--seeds", 1, "--json")
    said = call(
        *("evaluate", room / "one", room / "two", *told, "--patients", "A,B", "--out", tmp_path / "named")
    )
    assert said.exit_code == 0, said.stderr
    shared = [each for each in content["rows"] if (each["split"], each["model"]) == ("patients", "mean")]
    assert [each for each in json.loads(said.stdout)["rows"] if each["model"] == "mean"] == shared
    answer = call("benchmark", same, "--out", tmp_path / "same")
    assert answer.exit_code == 2
    assert "needs further sections" in answer.stderr


def test_generation_is_scored_where_there_is_truth(room: Path, tmp_path: Path) -> None:
    """Sublattices and blocks are held out; kriging is better near spots than a pitch and more away from them."""
    path = plan(room, 'splits = ["sublattice:3", "blocks:4"]')
    content = benchmark(Plan.read(path), tmp_path, Compute())
    by = {
        each["split"]: each for each in content["rows"] if (each["model"], each["set"]) == ("kriging", "test")
    }
    assert set(by) == {"sublattice:3", "blocks:4"}
    assert by["sublattice:3"]["pcc"] > by["blocks:4"]["pcc"]


def test_deviations_are_switched_one_at_a_time(room: Path, tmp_path: Path) -> None:
    """Each difference of two presets is a row with its gain, the presets themselves frame them."""
    small = "epochs = 1, hidden = 8, width = 8, patience = 1, validation = 0.2"
    words = f"""baselines = false
deviations = [{{ model = "histosge:published", towards = "corrected", {small} }}]"""
    answer = call("benchmark", plan(room, words), "--out", tmp_path, "--json")
    assert answer.exit_code == 0, answer.stderr
    content = json.loads(answer.stdout)
    rows = {each["switched"]: each for each in content["deviations"]}
    names = [
        "nothing",
        "crop",
        "colour order",
        "scale of the input",
        "position",
        "attention",
        "size",
        "dropout",
    ]
    assert list(rows) == [*names, "output", "target", "optimiser", "everything"]
    assert rows["nothing"]["test_gain"] == rows["nothing"]["pooled_gain"] == 0
    for name, each in rows.items():
        assert each["test_gain"] == pytest.approx(each["test"] - rows["nothing"]["test"]), name
    scored = row(
        content, "histosge", "test", "corrected, epochs=1, hidden=8, patience=1, validation=0.2, width=8"
    )
    assert rows["everything"]["test"] == scored["pcc"]
    assert "published → corrected" in (tmp_path / "scores.md").read_text()


def test_the_papers_own_table_stands_beside_ours(room: Path, tmp_path: Path) -> None:
    """A section with one of the paper's numbers shows its figures, and ours over all spots and removed ones."""
    bare = 'backbone = "test_resnet", network_px = 32, initialisation = "random"'
    words = f"""models = [
        {{ model = "histosge:published", epochs = 1 }},
        {{ model = "stnet:paper", epochs = 1, {bare} }},
    ]"""
    path = plan(room, words, '[{ path = "one", name = "151673" }]')
    benchmark(Plan.read(path), tmp_path, Compute())
    text = (tmp_path / "scores.md").read_text()
    assert "### PCC, random:0.5" in text
    (line,) = [
        each for each in text.splitlines() if each.startswith("| histosge (published") and "0.6725" in each
    ]
    assert "### MAE, random:0.5" in text
    assert "0.1223" in text
    # the table of scores, and three of the paper's metrics
    begun = [each.split(" |")[0] for each in text.splitlines() if each.startswith("| stnet")]
    assert len(begun) == 4
    assert all(each.endswith("random initialisation)") for each in begun)
    # the memoriser's row is what the printed figures must be read against
    (line,) = [each for each in text.splitlines() if each.startswith("| memorisation | – | 0.7")]
    assert line.endswith("| 0.0000 |")


def test_plans_of_the_repository_can_be_read() -> None:
    """Every plan in benchmarks/ names models, presets and options that exist."""
    paths = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))
    assert {"quick.toml", "full.toml", "deviations.toml"} <= {path.name for path in paths}
    for path in paths:
        assert list(Plan.read(path).cells())
