"""The program's own files: fits, runs, records, plans, benchmarks, features, locks."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from kinds import Kind
from reader_kinds import make_spaceranger
from seen import Seen, of_command, of_function

__all__ = ["OWN_KINDS"]

_GENES = "TUMOUR1,STROMA1,IMMUNE1,ZONE1,NUCLEI1,FLAT1"
_PLAN = """description = "A small plan"
models = ["mean", "idw", {model = "idw", neighbours = 4}]
splits = ["random:0.5"]
seeds = [0]
genes = "TUMOUR1,STROMA1,IMMUNE1,ZONE1"
hvg_scope = "training"
baselines = false

[[sections]]
path = "outs"
name = "first"
"""


def _done(*arguments: str | Path) -> None:
    seen = of_command(*arguments)
    if seen.code:
        raise RuntimeError(f"a whole input could not be made: {seen.said} {seen.trace}")


def _make_run(folder: Path) -> None:
    """Write ``run``, the folder of a run, beside the section."""
    make_spaceranger(folder)
    _done(
        "run",
        folder / "outs",
        "--out",
        folder / "run",
        "--upsample",
        "2",
        "--genes",
        _GENES,
        "--no-figures",
    )
    for name in ("features", "fit"):
        shutil.rmtree(folder / "run" / name, ignore_errors=True)


def _values(path: Path) -> dict[str, Any]:
    """Return the numbers of a prediction that was written."""
    import anndata

    data = anndata.read_h5ad(path)
    parts = {
        "genes": data.var_names.tolist(),
        "ids": data.obs_names.tolist(),
        "mean": np.asarray(data.X),
    }
    if "sd" in data.layers:
        parts["sd"] = np.asarray(data.layers["sd"])
    return parts | {"xy_px": np.asarray(data.obsm["spatial"])}


def _read_values(seen: Seen, path: Path) -> Seen:
    if seen.code == 0:
        seen.parts = _values(path)
    return seen


# --- fits -----------------------------------------------------------------------------------------------------


def _make_fit(folder: Path) -> None:
    make_spaceranger(folder)
    _done("fit", folder / "outs", "--out", folder / "fitted", "--genes", _GENES)
    shutil.rmtree(folder / "fitted" / "features", ignore_errors=True)


def _use_fit(folder: Path, out: Path) -> Seen:
    options = (
        "--fit",
        folder / "fitted",
        "--out",
        out,
        "--upsample",
        "1",
        "--no-figures",
    )
    return _read_values(of_command("predict", folder / "outs", *options), out / "prediction.h5ad")


def _make_accuracy(folder: Path) -> None:
    from histosge.workflow.saved_fit import write_accuracy
    from histosge.workflow.section_accuracy import SectionAccuracy

    write_accuracy(SectionAccuracy(3, (0.5, 0.25), 0.9, (1.0, 1.5)), folder, "0" * 32)


def _use_accuracy(folder: Path, out: Path) -> Seen:
    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.workflow.saved_fit import read_accuracy

        if (accuracy := read_accuracy(folder, "0" * 32)) is None:
            # computed again, as a run does
            _make_accuracy(folder)
            accuracy = read_accuracy(folder, "0" * 32)
        assert accuracy is not None
        return accuracy.as_dict(), ()

    return of_function(call)


# --- runs -----------------------------------------------------------------------------------------------------


def _use_report(folder: Path, out: Path) -> Seen:
    """Write the page of a run, and keep a hash of it."""
    seen = of_command("report", folder / "run")
    page = folder / "run" / "report.html"
    if seen.code == 0:
        seen.parts = {"page": hashlib.sha256(page.read_bytes()).hexdigest()}
        page.unlink()
    return seen


def _use_run(folder: Path, out: Path) -> Seen:
    """Export a run, then write its page."""
    seen = of_command("export", folder / "run", "--out", out / "export.h5ad")
    if seen.code:
        return seen
    values = _values(out / "export.h5ad")
    (out / "export.h5ad").unlink()
    page = _use_report(folder, out)
    page.parts |= {} if page.code else values
    return page


def _use_factors(folder: Path, out: Path) -> Seen:
    seen = of_command("export", folder / "factors.h5ad", "--out", out / "export.h5ad")
    return _read_values(seen, out / "export.h5ad")


def _make_factors(folder: Path) -> None:
    _make_run(folder)
    shutil.move(folder / "run" / "factors.h5ad", folder / "factors.h5ad")
    shutil.rmtree(folder / "run")


def _make_prediction(folder: Path) -> None:
    _make_run(folder)
    shutil.move(folder / "run" / "prediction.h5ad", folder / "prediction.h5ad")
    shutil.rmtree(folder / "run")


def _make_matrix_run(folder: Path) -> None:
    """Write the folder of a run of a model without factors: the page is made of ``prediction.h5ad``."""
    make_spaceranger(folder)
    options = ("--upsample", "2", "--genes", _GENES, "--no-figures", "--model", "idw")
    _done("run", folder / "outs", "--out", folder / "run", *options)
    for name in ("features", "fit"):
        shutil.rmtree(folder / "run" / name, ignore_errors=True)


def _domains(source: Path, out: Path) -> Seen:
    options = ("--method", "kmeans", "--clusters", "3", "--seeds", "1", "--out", out)
    seen = of_command("domains", source, *options)
    if seen.code == 0:
        rows = [line.split("\t") for line in (out / "domains.tsv").read_text().splitlines()[1:]]
        seen.parts = {
            "ids": [row[0] for row in rows],
            "labels": [row[-1] for row in rows],
        }
    return seen


def _make_labelled_run(folder: Path) -> None:
    """Write a run with domains and scores beside it, as its page shows them."""
    make_spaceranger(folder)
    _make_run(folder)
    _done(
        *(
            "domains",
            folder / "run" / "prediction.h5ad",
            "--method",
            "kmeans",
            "--clusters",
            "3",
        ),
        *("--seeds", "1", "--out", folder / "run"),
    )
    scores = (
        "--models",
        "idw",
        "--seeds",
        "1",
        "--genes",
        _GENES,
        "--out",
        folder / "scores",
    )
    _done("evaluate", folder / "outs", *scores)
    shutil.move(folder / "scores" / "scores.json", folder / "run" / "scores.json")
    shutil.rmtree(folder / "scores")
    for name in ("domains.h5ad", "domains.png"):
        (folder / "run" / name).unlink()


# --- evaluations ----------------------------------------------------------------------------------------------


def _make_plan(folder: Path) -> None:
    make_spaceranger(folder)
    (folder / "plan.toml").write_text(_PLAN)


def _use_plan(folder: Path, out: Path) -> Seen:
    """Read a plan and its sections, and name its trials, as a benchmark begins."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.evaluation.plan_file import read_plan
        from histosge.evaluation.planned_studies import refuse_equal_names
        from histosge.evaluation.result_files import refuse_overwriting
        from histosge.evaluation.trial import trial_key

        plan = read_plan(folder / "plan.toml")
        refuse_overwriting(plan, out)
        refuse_equal_names(plan)
        return {"trials": [trial_key(plan, trial) for trial in plan.trials()]}, ()

    return of_function(call)


def _make_benchmark(folder: Path) -> None:
    _make_plan(folder)
    _use_benchmark(folder, folder)


def _use_benchmark(folder: Path, out: Path) -> Seen:
    """Run the trials of a plan that are missing."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.evaluation.benchmark import run_trials
        from histosge.evaluation.plan_file import read_plan

        results = run_trials(read_plan(folder / "plan.toml"), folder / "bench")
        plain = [result.scores.sort_values(["metric", "set", "gene"]) for result in results]
        return {
            "values": [frame["value"].to_numpy() for frame in plain],
            "names": [f"{result.model} {result.skipped}" for result in results],
        }, ()

    return of_function(call)


# --- features and downloads -----------------------------------------------------------------------------------


def _make_features(folder: Path) -> None:
    make_spaceranger(folder)
    _use_features(folder, folder)


@cache
def _section(path: Path) -> Any:
    import histosge

    return histosge.read(path)


def _use_features(folder: Path, out: Path) -> Seen:
    """Return the features of the spots; those in the store are not computed again."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from histosge.models.cokriging.model import Cokriging
        from histosge.section.locations import at_spots
        from histosge.workflow.compute import Compute
        from histosge.workflow.encode import encode, encoder_for
        from histosge.workflow.recipe import Recipe

        section, compute = _section(folder / "outs"), Compute(store=folder / "features")
        needs = Cokriging().needs
        encoder = encoder_for(section, Recipe(), needs=needs, compute=compute)
        inputs = encode(section, at_spots(section), needs=needs, encoder=encoder, compute=compute)
        assert inputs.features is not None
        return {"features": np.asarray(inputs.features[:])}, ()

    return of_function(call)


def _make_lock(folder: Path) -> None:
    home = folder / "data"
    home.mkdir()
    seen = _use_lock(folder, folder)
    assert seen.code == 0, seen.said


def _use_lock(folder: Path, out: Path) -> Seen:
    """Fetch a data set, from a file in place of the network."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        from unittest.mock import patch

        from histosge.datasets import fetch
        from histosge.datasets.public import PublicDataset, Remote

        def downloaded(remote: Remote, to: Path) -> Path:
            (to / remote.path).write_bytes(remote.url.encode())
            return to / remote.path

        files = tuple(Remote(f"https://example.org/{name}", name) for name in ("a.csv", "b.csv"))
        dataset = PublicDataset("example", "An example", 1, files, "none")
        with patch.object(fetch, "_downloaded", downloaded):
            home = fetch.fetch(dataset, folder / "data")
        parts = {path.name: path.read_bytes() for path in sorted(home.iterdir())}
        shutil.rmtree(home)
        return parts, ()

    return of_function(call)


# --- gene programs --------------------------------------------------------------------------------------------


def _profiles() -> Any:
    """Return counts of 40 profiles and 30 genes."""
    import anndata
    import pandas as pd

    counts = np.random.default_rng(0).poisson(5.0, (40, 30)).astype(np.float32)
    names = pd.DataFrame(index=[f"GENE{number:02d}" for number in range(30)])
    return anndata.AnnData(counts, obs=pd.DataFrame(index=[f"cell{row}" for row in range(40)]), var=names)


def _make_programs(folder: Path) -> None:
    import histosge

    histosge.programs.write(histosge.programs.build(_profiles()), folder / "a.programs.h5")


def _use_programs(folder: Path, out: Path) -> Seen:
    """Read gene programs."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        import histosge

        programs = histosge.programs.read(folder / "a.programs.h5")
        names = {"genes": programs.genes.symbols.tolist(), "symbols": programs.genes.ids.tolist()}
        arrays = {"mean": programs.directions, "sd": programs.variances}
        samples = [str(sample.counts.toarray().tolist()) for sample in programs.samples]
        return names | arrays | {"labels": [*map(str, programs.sources), *samples]}, ()

    return of_function(call)


def _make_profiles(folder: Path) -> None:
    _profiles().write_h5ad(folder / "a.h5ad")


def _use_profiles(folder: Path, out: Path) -> Seen:
    """Build gene programs of an h5ad."""

    def call() -> tuple[dict[str, Any], tuple[str, ...]]:
        import histosge

        programs = histosge.programs.build(folder / "a.h5ad")
        texts = tuple(message.text for message in programs.messages)
        return {"genes": programs.genes.symbols.tolist(), "mean": programs.directions}, texts

    return of_function(call)


_VALUES = ("ids", "genes", "mean", "sd", "xy_px", "labels")

OWN_KINDS = (
    Kind("fit", _make_fit, _use_fit, {"fitted/*": ()}, 0.5),
    Kind("accuracy", _make_accuracy, _use_accuracy, {"*.json": ()}, 0.5),
    Kind("run-record", _make_run, _use_run, {"run/run.json": ()}, 0.5),
    # without its factors, the page of a run is made of its prediction, and scores and domains need not be there
    Kind(
        "run-factors",
        _make_run,
        _use_report,
        {"run/factors.h5ad": (), "run/factors.h5ad (missing)": ("page",)},
        0.5,
    ),
    Kind(
        "run-prediction",
        _make_matrix_run,
        _use_report,
        {"run/prediction.h5ad": ()},
        0.5,
    ),
    Kind("factors", _make_factors, _use_factors, {"factors.h5ad": (), "factors.h5ad (rewritten)": _VALUES}),
    Kind(
        "prediction",
        _make_prediction,
        lambda folder, out: _domains(folder / "prediction.h5ad", out),
        {"prediction.h5ad": (), "prediction.h5ad (rewritten)": _VALUES},
    ),
    Kind(
        "scores",
        _make_labelled_run,
        _use_report,
        {"run/scores.json": (), "run/scores.json (missing)": ("page",)},
        0.5,
    ),
    Kind(
        "domains",
        _make_labelled_run,
        _use_report,
        {"run/domains*": ("page",)},
        0.5,
    ),
    Kind("plan", _make_plan, _use_plan, {"plan.toml": ("trials",)}),
    Kind("benchmark-cell", _make_benchmark, _use_benchmark, {"bench/trials/*": ()}),
    Kind("features", _make_features, _use_features, {"features/*": ()}),
    Kind(
        "programs",
        _make_programs,
        _use_programs,
        {"*.programs.h5": (), "*.programs.h5 (rewritten)": (*_VALUES, "symbols")},
        0.5,
    ),
    # an h5ad has no checksum: its counts and names may change
    Kind("profiles", _make_profiles, _use_profiles, {"a.h5ad": ("genes", "mean")}, 0.5),
    Kind("lock", _make_lock, _use_lock, {"data/datasets.lock.json": ()}, 0.5),
)
