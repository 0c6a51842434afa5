"""HEST-Benchmark: its scores and files against an independent computation, and tasks that are not as they should be."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import histosge as hs
from histosge.errors import OutputError
from histosge.evaluation.hest.benchmark import hest
from histosge.evaluation.hest.embeddings import embeddings, encoder_of_patches
from histosge.evaluation.hest.heads import HEADS, POSITION_HEADS
from histosge.evaluation.hest.positions import positions_of
from histosge.evaluation.hest.result import HestResult
from histosge.evaluation.hest.rows import Rows, divided
from histosge.evaluation.hest.sample import read_sample
from histosge.evaluation.hest.task import find_tasks
from histosge.evaluation.hest.written_task import write_task
from histosge.metrics.ceiling import noise_ceiling

_GENES = 6
_BESIDE = ["noise ceiling", "level of samples", "shuffled patches"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task of three samples; the first fold fits one of them and scores the two others."""
    made = (hs.synthetic(columns=7, rows=7, genes=12, seed=seed).section for seed in range(3))
    sections = [replace(section, name=f"sample{number}") for number, section in enumerate(made)]
    folder = write_task(sections, tmp_path_factory.mktemp("hest") / "TISSUE", genes=_GENES)
    train, test = (folder / "splits" / f"{side}_0.csv" for side in ("train", "test"))
    header, *others = train.read_text().splitlines()
    first = test.read_text().splitlines()[1]
    train.write_text("\n".join([header, first]) + "\n")
    test.write_text("\n".join([header, *others]) + "\n")
    return folder


@pytest.fixture
def task(written: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(written, tmp_path / "hest-bench" / "TISSUE"))


@pytest.fixture(scope="module")
def result(written: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[HestResult, Path]:
    """A run of both tracks."""
    out = tmp_path_factory.mktemp("out")
    names = ["ridge", "pca-ridge"]
    return hs.hest(written, out, heads=names, encoders=["colour"], known=(0, 2, "half")), out / "results"


def _without_attributes(task: Path) -> None:
    for path in (task / "patches").glob("*.h5"):
        with h5py.File(path, "r+") as file:
            for name in ("img", "coords"):
                file[name].attrs.clear()


def test_official_scores_are_those_of_an_independent_computation(
    written: Path, result: tuple[HestResult, Path]
) -> None:
    """Protocol A2 from the files alone: log1p of raw counts by barcode, r of each gene over both test samples."""
    folder = result[1] / "official" / "ridge" / "TISSUE" / "colour"
    genes = json.loads((written / "var_50genes.json").read_text())["genes"]
    (only,) = find_tasks(written)
    encoder, _ = encoder_of_patches("colour")
    features, targets = {}, {}
    for name, files in only.samples.items():
        with h5py.File(files.patches) as file:
            barcodes = [value.decode() for value in file["barcode"][:, 0]]
        counts = anndata.read_h5ad(files.counts)[barcodes, genes].X
        targets[name] = np.log1p(counts.toarray().astype(np.float64))
        features[name] = embeddings(read_sample(files, only.genes), encoder).astype(np.float64)
    by_fold = []
    for fold in only.folds:
        x, y, new, truth = (
            np.concatenate([values[name] for name in names])
            for names in (fold.train, fold.test)
            for values in (features, targets)
        )
        scaler = StandardScaler().fit(x)
        alpha = 100 / (x.shape[1] * len(genes))
        ridge = Ridge(alpha, fit_intercept=False, solver="lsqr", max_iter=1000, random_state=1)
        predicted = ridge.fit(scaler.transform(x), y).predict(scaler.transform(new))
        r = [pearsonr(truth[:, gene], predicted[:, gene])[0] for gene in range(len(genes))]
        found = json.loads((folder / f"split{fold.number}" / "results.json").read_text())
        assert [row["name"] for row in found["pearson_corrs"]] == genes
        assert np.allclose([row["pearson_corr"] for row in found["pearson_corrs"]], r)
        assert np.allclose([found["pearson_mean"], found["pearson_std"]], [np.mean(r), np.std(r)])
        assert np.allclose(found["l2_errors"], ((truth - predicted) ** 2).mean(axis=0))
        by_fold.append(r)
    assert len(only.folds[0].test) == 2
    over = json.loads((folder / "results_kfold.json").read_text())
    means = np.mean(by_fold, axis=1)
    assert np.allclose(over["mean_per_split"], means)
    assert np.allclose([over["pearson_mean"], over["pearson_std"]], [means.mean(), means.std()])
    assert np.allclose([row["mean"] for row in over["pearson_corrs"]], np.mean(by_fold, axis=0))
    assert np.allclose([row["std"] for row in over["pearson_corrs"]], np.std(by_fold, axis=0))


def test_the_tree_of_files_has_the_keys_of_the_benchmark(result: tuple[HestResult, Path]) -> None:
    """Names and keys are those of its description, in every file."""
    top = result[1] / "official" / "pca-ridge"
    found = {
        str(path.relative_to(top)): list(json.loads(path.read_text())) for path in sorted(top.rglob("*.json"))
    }
    over = ["pearson_mean", "pearson_std"]
    quartiles = [f"{name}_q{number}" for name in ("l2_error", "r2_score") for number in (1, 2, 3)]
    split = {
        "config.json": ["head", "encoder", "dataset"],
        "results.json": ["l2_errors", "r2_scores", "pearson_corrs", *over, *quartiles],
        "summary.json": over,
    }
    expected = {
        f"TISSUE/colour/split{number}/{name}": keys for number in range(3) for name, keys in split.items()
    }
    expected["TISSUE/colour/results_kfold.json"] = ["pearson_corrs", *over, "mean_per_split"]
    expected["TISSUE/enc_results.json"] = ["results"]
    expected["dataset_results.json"] = ["results", "average"]
    assert found == expected
    of_task = json.loads((top / "TISSUE" / "enc_results.json").read_text())["results"]
    (dataset,) = json.loads((top / "dataset_results.json").read_text())["results"]
    assert dataset == {"dataset_name": "TISSUE", "results": of_task}
    assert list(of_task[0]) == ["encoder_name", *over]


def test_every_number_of_known_spots_has_what_stands_beside(
    written: Path, result: tuple[HestResult, Path]
) -> None:
    """Nulls and ceiling for every number; what positions predict where there are spots enough to say something."""
    assert "heads of 256 principal components have as many" in result[0].messages[0].text
    heads = result[0].scores.groupby("known")["head"].unique().map(set)
    named = {"ridge", "pca-ridge", *_BESIDE}
    assert heads["0"] == heads["0 of half"] == named
    assert heads["2 of half"] == named | set(POSITION_HEADS) - {"kriging of known spots"}
    assert heads["half of half"] == named | set(POSITION_HEADS)
    # the ceiling is that of the half that is scored
    (only,) = find_tasks(written)
    index, name = 1, only.folds[1].test[0]
    sample = read_sample(only.samples[name], only.genes)
    scored, _ = divided(Rows.of(sample, np.zeros((len(sample), 1), dtype=np.float32), index), 0)
    measured = anndata.read_h5ad(only.samples[name].counts)
    counts = measured[sample.barcodes[scored], list(only.genes)].X
    expected = noise_ceiling(
        sparse.csr_matrix(counts.toarray()), np.arange(_GENES), size_factor=False, seed=0
    )
    table = result[0].scores
    rows = table[
        (table["fold"] == 1) & (table["sample"] == name) & (table["head"] == "noise ceiling")
    ].set_index("known")
    for known in ("0 of half", "2 of half", "half of half"):
        assert np.allclose(rows.loc[known, "r"], expected)
    assert not np.allclose(rows.loc["0", "r"], expected)


def test_a_gene_without_r_leaves_its_fold_without_a_score(task: Path, tmp_path: Path) -> None:
    """A gene that no spot of a test sample has makes fold, task and average null, as in the benchmark."""
    path = task / "adata" / "sample1.h5ad"
    data = anndata.read_h5ad(path)
    gene = json.loads((task / "var_50genes.json").read_text())["genes"][0]
    counts = data.X.tolil()
    counts[:, list(data.var_names).index(gene)] = 0
    data.X = counts.tocsr()
    data.write_h5ad(path)
    hs.hest(task, tmp_path / "out", heads=["ridge"], encoders=["colour"])
    top = tmp_path / "out" / "results" / "official" / "ridge"
    over = json.loads((top / "TISSUE" / "colour" / "results_kfold.json").read_text())
    assert [mean is None for mean in over["mean_per_split"]] == [False, True, False]
    assert over["pearson_mean"] is None
    assert json.loads((top / "dataset_results.json").read_text())["average"] == {"colour": None}


def test_positions_follow_from_spots_in_the_middle_of_patches(task: Path, written: Path) -> None:
    """Without attributes, as the layout is described, positions are the same to a pixel; elsewhere there are none."""
    _without_attributes(task)
    before, after = (
        read_sample(found.samples["sample2"], found.genes).positions
        for folder in (written, task)
        for found in find_tasks(folder)
    )
    assert before.xy_um is not None
    assert after.xy_um is not None
    assert (before.derived, bool(after.derived)) == ("", True)
    distances = [np.linalg.norm(xy - xy[0], axis=1) for xy in (before.xy_um, after.xy_um)]
    assert np.abs(distances[0] / np.maximum(distances[1], 1) - 1)[1:].max() < 0.01
    corners = np.arange(10.0).reshape(5, 2) * 100
    moved = corners + np.arange(5)[:, None] + 200
    assert positions_of(corners, {}, moved).xy_um is None
    assert positions_of(corners, {}, corners + np.array([200, 230])).xy_um is None
    assert "make no patch 112 µm wide" in positions_of(corners, {"pixel_size": 2.5e-3}, None).absent
    both = {"pixel_size": 0.25, "patch_size_src": 224}
    assert "make no patch 112 µm wide" in positions_of(corners, both, None).absent


def test_heads_without_positions_are_left_out_unless_they_are_named(task: Path, tmp_path: Path) -> None:
    """One that was named is refused before features are computed; otherwise a message says why and what to do."""
    _without_attributes(task)
    with h5py.File(task / "adata" / "sample0.h5ad", "r+") as file:
        del file["obsm/spatial"]
    with pytest.raises(
        hs.UsageError, match=r"'cokriging' needs positions.*'sample0'.*`pixel_size` to `coords`"
    ):
        hs.hest(task, tmp_path / "out", encoders=["colour"], heads=["ridge", "cokriging"])
    assert not (tmp_path / "out").exists()
    with pytest.warns(hs.HistosgeWarning, match="Left out: cokriging, what positions alone .*'sample0'"):
        found = hs.hest(task, tmp_path / "out", encoders=["colour"], known=("half",))
    heads = set(found.scores["head"])
    assert heads == set(HEADS) - {"cokriging"} | set(_BESIDE)
    results = tmp_path / "out" / "results"
    assert "Left out: cokriging" in (results / "scores.md").read_text()
    messages = json.loads((results / "scores.json").read_text())["messages"]
    assert "Left out: cokriging" in " ".join(messages)


def _edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def spoil(task: Path) -> None:
        (task / name).write_text(change((task / name).read_text()))

    return spoil


def _remove(name: str) -> Callable[[Path], None]:
    return lambda task: (task / name).unlink()


def _replace_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def spoil(task: Path) -> None:
        with h5py.File(task / "patches" / "sample1.h5", "r+") as file:
            values = change(file[name][()])
            del file[name]
            file.create_dataset(name, data=values)

    return spoil


_SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "no genes": (_remove("var_50genes.json"), "lacks 'var_50genes.json'"),
    "no test file": (_remove("splits/test_1.csv"), "Fold 1 in .* needs both"),
    "no train file": (_remove("splits/train_2.csv"), "Fold 2 in .* needs both"),
    "no patches": (_remove("patches/sample2.h5"), "which is missing"),
    "empty split": (_edit("splits/train_0.csv", lambda text: text.splitlines()[0]), "a sample a line in"),
    "short line": (_edit("splits/test_0.csv", lambda text: text + "more\n"), "has no value of"),
    "a sample twice": (_edit("splits/test_0.csv", lambda text: text + text.splitlines()[1]), "twice"),
    "other name": (
        _edit("splits/train_1.csv", lambda text: text + "other,patches/sample1.h5,adata/sample1.h5ad\n"),
        "'sample1' is among those to fit and those to score",
    ),
    "other files": (
        _edit("splits/test_0.csv", lambda text: text.replace("patches/sample1", "patches/sample2")),
        "different files in different folds",
    ),
    "wrong genes": (_edit("var_50genes.json", lambda text: text.replace('["', '["NO-GENE", "')), "'NO-GENE'"),
    "no list": (_edit("var_50genes.json", lambda text: '{"names": []}'), "genes"),
    "fewer patches": (
        _replace_array("img", lambda img: img[:-1]),
        "a corner and a barcode for each of 47 patches",
    ),
    "patches of numbers": (_replace_array("img", lambda img: img / 255), "of 8 bits .* float64"),
    "wide patches": (_replace_array("img", lambda img: img.repeat(2, 1).repeat(2, 2)[:3]), "224 × 224"),
    "corners": (_replace_array("coords", lambda xy: xy * np.nan), "a corner and a barcode"),
    "barcodes": (_replace_array("barcode", lambda names: names[::-1][[0] * len(names)]), "repeats"),
}


@pytest.mark.parametrize("what", _SPOILT)
def test_a_spoilt_task_is_refused_before_anything_is_computed(what: str, task: Path, tmp_path: Path) -> None:
    """A sentence says which file is wrong; nothing is written, and no task of several is passed over."""
    spoil, sentence = _SPOILT[what]
    spoil(task)
    for folder in (task, task.parent):
        with pytest.raises(hs.DataError, match=sentence):
            hest(folder, tmp_path / "out", encoders=["colour"], heads=["ridge"])
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_or_had_is_said_first(written: Path, tmp_path: Path) -> None:
    """An absent encoder after one that is there, and a folder of somebody else, end the run before it begins."""
    with pytest.raises(hs.UsageError, match="no encoder named 'nothing'"):
        hs.hest(written, tmp_path / "out", encoders=["colour", "nothing"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine" / "results").mkdir(parents=True)
    (tmp_path / "mine" / "results" / "thesis.txt").write_text("years")
    with pytest.raises(hs.UsageError, match="histosge did not write"):
        hs.hest(written, tmp_path / "mine", encoders=["colour"])
    assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["results", "thesis.txt"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_results_before(written: Path, tmp_path: Path) -> None:
    """Results of an earlier run stay whole where those of a later one do not fit."""
    out = tmp_path / "out"
    hs.hest(written, out, heads=["ridge"], encoders=["colour"])
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # the operating system refuses larger files, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match="disk is full"):
            hs.hest(written, out, heads=["ridge"], encoders=["colour"], seed=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before


@pytest.mark.slow
def test_names_that_are_given_twice_count_once(written: Path, tmp_path: Path) -> None:
    """Encoders, heads and numbers of known spots have one row each."""
    found = hs.hest(
        written, tmp_path / "out", heads=["ridge"] * 2, encoders=["colour"] * 2, known=("half", "half")
    )
    assert not found.scores.duplicated(["encoder", "fold", "head", "known", "sample", "gene"]).any()


@pytest.mark.slow
def test_more_known_spots_than_there_are_is_said(written: Path, tmp_path: Path) -> None:
    """A row of 100 known spots says where there are fewer."""
    with pytest.warns(
        hs.HistosgeWarning, match="2 of 2 test samples .* fewer than 100 spots, in 'sample1' 24"
    ):
        hs.hest(written, tmp_path / "out", heads=["ridge"], encoders=["colour"], known=(100,))


def test_controls_are_no_genes_of_a_task(tmp_path: Path) -> None:
    """Probes named as controls are left out, however much they vary."""
    sections = [hs.synthetic(columns=5, rows=5, genes=12, seed=seed).section for seed in range(2)]
    first = json.loads(
        (write_task(_named(sections, {}), tmp_path / "A", genes=1) / "var_50genes.json").read_text()
    )["genes"][0]
    for number, name in enumerate((f"BLANK_{first}", f"NegControlProbe_{first}")):
        folder = write_task(_named(sections, {first: name}), tmp_path / str(number), genes=8)
        genes = json.loads((folder / "var_50genes.json").read_text())["genes"]
        assert len(genes) == 8
        assert not {first, name} & set(genes)


def _named(sections: list[hs.Section], other: dict[str, str]) -> list[hs.Section]:
    return [
        replace(
            section,
            name=f"sample{number}",
            genes=np.array([other.get(gene, gene) for gene in section.genes.tolist()]),
        )
        for number, section in enumerate(sections)
    ]
