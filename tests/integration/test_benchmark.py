"""``histosge evaluate`` and ``histosge benchmark``: scores of a section on disk, equal in every run."""

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

import histosge as hs
from histosge.cli import commands
from histosge.datasets.synthetic import synthetic, write_spaceranger
from histosge.errors import DataError
from histosge.evaluation.baselines import BASELINES
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.evaluate import evaluate
from histosge.evaluation.plan_file import read_plan
from histosge.evaluation.study import Pipeline
from histosge.evaluation.trial import run_trial, write_trial
from histosge.section.genes import select
from histosge.workflow.compute import Compute

BASELINE_ROWS = {(recipe.model, recipe.variant) for recipe in BASELINES}


def invoke(*words: object) -> Any:
    return CliRunner().invoke(commands(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small sections, of two patients."""
    path = tmp_path_factory.mktemp("sections")
    for name, seed in (("one", 0), ("two", 1)):
        write_spaceranger(synthetic(columns=12, rows=12, genes=40, seed=seed).section, path / name)
    return path


def plan_file(folder: Path, text: str = "", sections: str = '["one"]') -> Path:
    path = folder / f"plan-{abs(hash(text + sections))}.toml"
    path.write_text(f'sections = {sections}\nseeds = [0]\ngenes = "hvg:20"\n{text}\n')
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """All files under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of one ``evaluate``, and what it printed."""
    out = tmp_path_factory.mktemp("scores")
    words = ("--models", "boosting,histosge:published", "--set", "epochs=2", "--set", "trees=5", "--seeds", 2)
    result = invoke("evaluate", folder / "one", *words, "--genes", "hvg:20", "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout)


def score_row(content: dict[str, Any], model: str, score_set: str, preset: str = "") -> dict[str, Any]:
    (match,) = [
        row
        for row in content["rows"]
        if (row["model"], row["set"], row["preset"]) == (model, score_set, preset)
    ]
    return match  # type: ignore[no-any-return]


def test_every_model_and_baseline_has_scores(evaluated: tuple[Path, dict[str, Any]]) -> None:
    """The models and every baseline have scores on the three sets, from two seeds."""
    _, content = evaluated
    models = {("boosting", "trees=5"), ("histosge", "published, epochs=2")}
    for score_set in ("test", "training", "pooled"):
        rows = {(row["model"], row["preset"]) for row in content["rows"] if row["set"] == score_set}
        assert rows == BASELINE_ROWS | models
    assert {row["seeds"] for row in content["rows"]} == {2}


def test_memorisation_shows_what_the_pooled_score_is_worth(evaluated: tuple[Path, dict[str, Any]]) -> None:
    """Memorisation scores about 0.71 over all spots, 1 at training spots, and is undefined at test spots."""
    _, content = evaluated
    assert score_row(content, "memorisation", "pooled")["pcc_defined"] == pytest.approx(0.71, abs=0.03)
    assert score_row(content, "memorisation", "training")["pcc"] == pytest.approx(1.0, abs=1e-6)
    test = score_row(content, "memorisation", "test")
    assert (test["pcc"], test["pcc_undefined"], test["pcc_defined"]) == (0, 1, None)
    assert score_row(content, "kriging", "test")["skill"] == pytest.approx(0.0, abs=1e-12)


def test_the_files_are_those_of_the_documentation(evaluated: tuple[Path, dict[str, Any]]) -> None:
    """The folder has one tidy table with ten columns, a summary, costs, a page of Markdown and three figures."""
    out, content = evaluated
    frame = pd.read_parquet(out / "scores.parquet")
    names = ["section", "split", "set", "model", "preset", "encoder", "seed", "gene", "metric", "value"]
    assert list(frame.columns) == names
    assert not frame.duplicated(names[:-1]).any()
    stored = json.loads((out / "scores.json").read_text())
    assert stored["rows"] == content["rows"]
    kriging = frame[(frame["model"] == "kriging") & (frame["set"] == "test") & (frame["metric"] == "mse")]
    by_seed = kriging.groupby("seed", observed=True)["value"].mean()
    assert score_row(content, "kriging", "test")["mse"] == pytest.approx(by_seed.mean(), rel=1e-12)
    trials = json.loads((out / "costs.json").read_text())["trials"]
    names = {"fit_wall_s", "fit_cpu_s", "fit_peak_mb", "predict_wall_s"}
    assert all(names <= set(trial["cost"]) for trial in trials)
    assert "in-sample" in (out / "scores.md").read_text()
    assert len(list((out / "figures").glob("*.png"))) == 3
    assert all((out / name).exists() for name in content["files"])


def test_the_split_is_written(evaluated: tuple[Path, dict[str, Any]]) -> None:
    """A table per seed says for every spot, by barcode, whether it was a training or a test spot."""
    out, _ = evaluated
    paths = sorted((out / "splits").iterdir())
    assert [path.name for path in paths] == ["one_random-0.5_seed0.tsv", "one_random-0.5_seed1.tsv"]
    tables = [pd.read_csv(path, sep="\t", index_col="spot")["set"] for path in paths]
    for table in tables:
        assert abs(table.value_counts()["training"] - len(table) / 2) <= 1
        assert set(table) == {"training", "test"}
    assert not tables[0].equals(tables[1])


def test_figures_show_the_numbers_of_the_table(evaluated: tuple[Path, dict[str, Any]]) -> None:
    """Means over seeds and genes in the figures equal the summary; memorisation is left out."""
    from histosge.figures.score_charts import correlation_table

    out, content = evaluated
    means = correlation_table(pd.read_parquet(out / "scores.parquet")).mean()
    assert len(means) == len(BASELINE_ROWS) + 2 - 1
    for model in ("kriging", "ridge", "mean"):
        assert means[model] == pytest.approx(score_row(content, model, "test")["pcc"], abs=1e-12)
    given_depth = correlation_table(pd.read_parquet(out / "scores.parquet"), "pcc_given_depth").mean()
    expected = score_row(content, "kriging", "test")["pcc_given_depth"]
    assert given_depth["kriging"] == pytest.approx(expected, abs=1e-12)


def test_evaluate_of_sections_in_memory_equals_the_command(folder: Path, tmp_path: Path) -> None:
    """``hs.evaluate`` of a section in memory gives the scores of the command, and writes files only into ``out``."""
    section = hs.read(folder / "one")
    result = evaluate(section, "boosting", seeds=1, genes="hvg:20")
    assert result.files == ()
    words = ("--models", "boosting", "--seeds", 1, "--genes", "hvg:20", "--out", tmp_path, "--json")
    printed = invoke("evaluate", folder / "one", *words)
    assert printed.exit_code == 0, printed.stderr
    assert [row.as_dict() for row in result.rows] == json.loads(printed.stdout)["rows"]
    frame = result.to_frame()
    assert set(frame["set"]) == {"test", "training", "pooled"}
    (kriging,) = result.select(model="kriging", set="test")
    assert kriging["skill"] == 0
    assert kriging["no such metric"] is None


def test_sections_of_one_name_are_refused_in_plans(folder: Path, tmp_path: Path) -> None:
    """A plan must name them; ``evaluate`` names folders such as ``outs`` by their parent folder."""
    path = plan_file(folder, "", '["one", { path = "two", name = "one" }]')
    result = invoke("benchmark", path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Give them names" in result.stderr
    for name in ("c", "d"):
        (tmp_path / name).mkdir()
        write_spaceranger(synthetic(columns=8, rows=8, genes=20).section, tmp_path / name / "outs")
    words = ("--models", "mean", "--seeds", 1, "--genes", "all", "--out", tmp_path / "scores", "--json")
    result = invoke("evaluate", tmp_path / "c" / "outs", tmp_path / "d" / "outs", *words)
    assert result.exit_code == 0, result.stderr
    assert {row["section"] for row in json.loads(result.stdout)["rows"]} == {"c/outs", "d/outs"}


def test_two_runs_are_equal_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    """Scores of a plan with a network, run twice in one process and once in two, are the same bytes."""
    path = plan_file(folder, 'models = [{ model = "histosge", epochs = 2 }, "boosting"]\nbaselines = false')
    for name, jobs in (("a", 1), ("b", 1), ("c", 2)):
        result = invoke("benchmark", path, "--out", tmp_path / name, "--jobs", jobs)
        assert result.exit_code == 0, result.stderr
    first = contents(tmp_path / "a")
    scores = [name for name in first if name.endswith(("scores.parquet", "scores.json"))]
    assert len(scores) == 5
    for other in ("b", "c"):
        again = contents(tmp_path / other)
        for name in scores:
            assert _without_times(name, again[name]) == _without_times(name, first[name])


def _without_times(name: str, content: bytes) -> object:
    """Return a file of scores without the hashes of the table that also shows seconds."""
    if name != "scores.json":
        return content
    record = json.loads(content)
    del record["checksum"], record["files"]["scores.md"]
    return record


def test_a_trial_writes_nothing_outside_its_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home, caches, working folder and the section's own folder stay as they were."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR", "MPLCONFIGDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "TMPDIR"))
    models = 'models = [{ model = "histosge", epochs = 2 }, "ridge"]\nbaselines = false'
    plan = read_plan(plan_file(folder, models))
    before = contents(folder)
    for index, trial in enumerate(plan.trials()):
        write_trial(run_trial(plan, trial), tmp_path / "trials" / str(index))
    assert contents(folder) == before
    files = {Path(name) for name in contents(tmp_path)}
    assert {path.parts[0] for path in files} == {"trials"}
    assert {path.name for path in files} == {"scores.parquet", "trial.json"}
    assert {path.name for path in (tmp_path / "trials").iterdir()} == {"0", "1", "2"}


def test_a_killed_benchmark_resumes(folder: Path, tmp_path: Path) -> None:
    """After ``kill -9`` finished trials are kept and not repeated; the scores equal those of an unbroken run."""
    path = plan_file(folder, 'splits = ["random:0.5", "sublattice:3"]')
    code = """
import os, signal, sys
from histosge.evaluation.benchmark import benchmark
from histosge.workflow.compute import Compute
def stop(done, total, text):
    if text == "trials" and done == 5:
        os.kill(os.getpid(), signal.SIGKILL)
benchmark(sys.argv[1], sys.argv[2], compute=Compute(progress=stop))
"""
    killed = tmp_path / "killed"
    process = subprocess.run([sys.executable, "-c", code, str(path), str(killed)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "scores.json").exists()
    finished = sorted((killed / "trials").iterdir())
    assert len(finished) == 5
    # what a kill in the middle of a trial leaves behind
    (killed / "trials" / ".half-written").mkdir()
    (killed / "trials" / ".half-written" / "scores.parquet").write_bytes(b"PAR1")
    before = {path: (path / "trial.json").stat().st_mtime_ns for path in finished}
    totals: list[int] = []
    plan = read_plan(path)
    benchmark(plan, killed, compute=Compute(progress=lambda _, total, text: totals.append(total)))
    assert totals[-1] == len(list(plan.trials())) - 5
    assert all((path / "trial.json").stat().st_mtime_ns == time for path, time in before.items())
    benchmark(plan, tmp_path / "whole")
    for name in ("scores.parquet", "scores.json"):
        resumed, unbroken = ((folder / name).read_bytes() for folder in (killed, tmp_path / "whole"))
        assert _without_times(name, resumed) == _without_times(name, unbroken)


def test_only_changed_trials_run_again(folder: Path, tmp_path: Path) -> None:
    """A second run fits nothing; another option fits only the model that has it."""

    def number_of_fits(text: str) -> int:
        totals = [0]
        compute = Compute(progress=lambda _, total, text: totals.append(total))
        benchmark(plan_file(folder, text), tmp_path, compute=compute)
        return totals[-1]

    models = 'models = ["kriging", { model = "idw", neighbours = 5 }]\nbaselines = false'
    assert number_of_fits(models) == 2
    assert number_of_fits(models) == 0
    assert number_of_fits(models.replace("5", "6")) == 1


@pytest.mark.parametrize("name", ["trial.json", "scores.parquet"])
def test_damaged_trials_run_again(folder: Path, tmp_path: Path, name: str) -> None:
    """A trial that was cut off, changed, emptied or lost a file is repeated, and the scores are as before."""
    path = plan_file(folder, 'models = ["kriging"]\nbaselines = false')
    before = benchmark(path, tmp_path).scores
    (file,) = tmp_path.glob(f"trials/*/{name}")
    whole = file.read_bytes()
    flipped = whole[:-5] + bytes([whole[-5] ^ 4]) + whole[-4:]
    for content in (b"", whole[:50], flipped, b"[1, 2]", b'{"section": 1}', None):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        pd.testing.assert_frame_equal(benchmark(path, tmp_path).scores, before)
        assert [path.name for path in tmp_path.glob("trials/*")] == [file.parent.name]


def test_a_changed_file_of_genes_is_scored_anew(folder: Path, tmp_path: Path) -> None:
    """The second evaluation scores the genes that the file has then."""
    names = tmp_path / "genes.txt"
    section = hs.read(folder / "one")
    for genes in (section.genes[:2], section.genes[3:6]):
        names.write_text("\n".join(genes))
        text = f"genes = '{names}'\nmodels = [\"mean\"]\nbaselines = false"
        path = tmp_path / "plan.toml"
        path.write_text(f"sections = ['{folder / 'one'}']\nseeds = [0]\n{text}\n")
        assert set(benchmark(path, tmp_path / "out").scores.gene.astype(str)) == set(genes)


def test_a_leak_stops_the_trial(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial whose steps leak is an error."""
    plan = read_plan(plan_file(folder))
    standard = Pipeline.standard()
    leaking = Pipeline(
        lambda study: select(study.target, study.genes), standard.gather_samples, standard.fit_model
    )
    monkeypatch.setattr("histosge.evaluation.trial.panel_of", lambda plan, trial: panel)
    panel = select(hs.read(folder / "one"), "hvg:20")
    with pytest.raises(DataError, match="gene panel depends on test spots"):
        run_trial(plan, next(plan.trials()), pipeline=leaking)


def test_genes_of_all_spots_are_a_declared_leak(folder: Path, tmp_path: Path) -> None:
    """The paper's choice of genes runs only where the plan declares it, and every table says so."""
    plan = plan_file(folder, 'hvg_scope = "all"\nmodels = ["mean"]\nbaselines = false')
    result = benchmark(plan, tmp_path)
    assert any("gene panel" in leak for leak in result.leaks)
    assert "Declared leak" in (tmp_path / "scores.md").read_text()


def test_whole_sections_are_predicted_from_others(folder: Path, tmp_path: Path) -> None:
    """Models of the image predict a section from the other one; interpolation is skipped, and the reason is given."""
    pair = '[{ path = "one", patient = "A" }, { path = "two", patient = "B" }]'
    path = plan_file(folder, 'splits = ["sections", "patients"]', pair)
    result = invoke("benchmark", path, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    assert {row["section"] for row in content["rows"]} == {"one", "two"}
    assert {row["model"] for row in content["rows"]} == {"mean", "ridge"}
    assert {row["set"] for row in content["rows"]} == {"test", "pooled"}
    skipped = {trial["model"] for trial in content["skipped"]}
    assert skipped == {"kriging", "idw", "nearest", "memorisation", "depth"}
    words = (
        "--models",
        "mean",
        "--split",
        "patients",
        "--patients",
        "A,B",
        "--genes",
        "hvg:20",
        "--seeds",
        1,
    )
    result = invoke("evaluate", folder / "one", folder / "two", *words, "--json", "--out", tmp_path / "named")
    assert result.exit_code == 0, result.stderr
    by_plan = [row for row in content["rows"] if (row["split"], row["model"]) == ("patients", "mean")]
    assert [row for row in json.loads(result.stdout)["rows"] if row["model"] == "mean"] == by_plan


def test_one_patient_alone_cannot_be_predicted_from_others(folder: Path, tmp_path: Path) -> None:
    """The split ``patients`` of two sections of one patient is refused."""
    pair = '[{ path = "one", patient = "A" }, { path = "two", patient = "A" }]'
    path = plan_file(folder, 'splits = ["patients"]', pair)
    result = invoke("benchmark", path, "--out", tmp_path)
    assert result.exit_code == 2
    assert "needs further sections" in result.stderr


def test_kriging_is_better_near_training_spots(folder: Path, tmp_path: Path) -> None:
    """On a sublattice, where training spots are a pitch away, kriging correlates better than in whole blocks."""
    text = 'splits = ["sublattice:3", "blocks:4"]\nmodels = ["kriging"]\nbaselines = false'
    result = benchmark(plan_file(folder, text), tmp_path)
    pcc = {row.split: row["pcc"] for row in result.select(set="test")}
    assert set(pcc) == {"sublattice:3", "blocks:4"}
    assert pcc["sublattice:3"] > pcc["blocks:4"]
