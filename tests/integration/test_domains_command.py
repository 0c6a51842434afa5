"""``histosge domains`` from the shell, and its scanpy-shaped face."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner

import histosge as hs
from histosge.cli import commands
from histosge.datasets.synthetic import write_spaceranger
from histosge.domains import DomainInput, build_method, find_domains
from histosge.domains.annotation import read_annotation
from histosge.errors import DataError, HistosgeWarning, UsageError
from histosge.io.anndata_objects import to_anndata
from histosge.io.writers import h5ad

TISSUE = hs.synthetic(columns=14, rows=14, genes=40)
SECTION = TISSUE.section
PREDICTION = hs.predict(
    hs.fit(SECTION, hs.Recipe(model="kriging", genes="all")), SECTION, hs.upsampled(SECTION, 4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space Ranger folder, its annotation with a tenth of the spots left out, and a prediction."""
    path = tmp_path_factory.mktemp("tissue")
    write_spaceranger(SECTION, path / "outs")
    zones = TISSUE.domains(SECTION.spots.xy)
    lines = [f"{name}\tzone{zone}" for name, zone in zip(SECTION.spots.ids, zones, strict=True)]
    lines[::10] = [line.split("\t")[0] + "\t" for line in lines[::10]]
    (path / "layers.tsv").write_text("\n".join(["barcode\tlayer", *lines]) + "\n")
    h5ad.write(path / "prediction.h5ad", SECTION, PREDICTION)
    return path


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(commands(), ["domains", *map(str, words)])
    return result.exit_code, result.output


def test_a_section_is_divided_scored_and_drawn(folder: Path, tmp_path: Path) -> None:
    """The number of domains comes from the annotation; all seeds are reported; files and JSON agree."""
    truth = folder / "layers.tsv"
    code, output = run(folder / "outs", "--method", "kmeans", "--truth", truth, "--out", tmp_path)
    assert code == 0, output
    record = json.loads((tmp_path / "domains.json").read_text())
    assert record["clusters"] == [3, 3, 3]
    assert record["seeds"] == [0, 1, 2]
    table = np.genfromtxt(tmp_path / "domains.tsv", delimiter="\t", names=True, dtype=None, encoding="utf-8")
    known = table["annotated"] != ""
    assert record["annotated"] == known.sum() < len(SECTION)
    ours = [adjusted_rand_score(table["annotated"][known], table[f"seed{k}"][known]) for k in range(3)]
    assert record["scores"]["ari"] == pytest.approx(ours)
    assert record["mean"]["ari"] == pytest.approx(np.mean(ours))
    assert record["sd"]["ari"] == pytest.approx(np.std(ours, ddof=1))
    held = anndata.read_h5ad(tmp_path / "domains.h5ad")
    assert list(held.obs["seed0"].astype(int)) == table["seed0"].tolist()
    assert (tmp_path / "domains.png").read_bytes().startswith(b"\x89PNG")


def test_domains_of_predictions_are_those_of_all_locations_or_of_spots(folder: Path, tmp_path: Path) -> None:
    """``--values`` chooses all locations of a prediction, or the measured spots in it."""
    options = (folder / "prediction.h5ad", "--method", "kmeans", "--clusters", 3, "--seeds", 1, "--json")
    locations = []
    for values in ("predicted", "measured"):
        code, output = run(*options, "--values", values, "--out", tmp_path / values)
        assert code == 0, output
        locations.append(json.loads(output[output.index("{") :])["locations"])
    assert locations == [4 * len(SECTION), len(SECTION)]


def test_domains_of_a_run_are_those_of_its_prediction(tmp_path: Path) -> None:
    """The folder of a run stands for its prediction; its factors alone are refused."""
    recipe = hs.Recipe(genes="all", options={"factors": 5})
    hs.run(SECTION, recipe, target=hs.Target(upsample=2), out=tmp_path / "run")
    options = ("--method", "kmeans", "--clusters", 3, "--seeds", 1, "--out", tmp_path / "domains")
    code, output = run(tmp_path / "run" / "factors.h5ad", *options)
    assert code == 2
    assert "prediction.h5ad of the same run" in " ".join(output.split())
    code, output = run(tmp_path / "run", *options)
    assert code == 0, output
    assert f"predicted, {len(SECTION.genes)} genes: {2 * len(SECTION)} locations" in " ".join(output.split())


@pytest.mark.parametrize("method", ["kmeans", "leiden", "stagate", "stmask"])
def test_few_and_isolated_locations_have_domains(method: str) -> None:
    """Three locations have three domains; locations without a neighbour get domains too."""
    few = SECTION.take(np.arange(3))
    labels = set(hs.tl.domains(few, method, clusters=3))
    # where all locations are neighbours of each other, graph convolutions make their embeddings equal
    assert labels == {"0", "1", "2"} or (method == "stmask" and "0" in labels)
    far = np.array(SECTION.spots.xy)
    far[:5] += np.arange(1, 6)[:, None] * 1e6
    alone = replace(SECTION, spots=hs.Points(far, SECTION.spots.ids, 55.0), slide=None, lattice=None)
    options = {"epochs": 3} if method.startswith("st") else {}
    assert set(hs.tl.domains(alone, method, clusters=3, **options)) == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["outs", "--method", "kmean"], 2, "kmeans"),
        (["outs", "--method", "kmeans"], 2, "--clusters"),
        (["outs", "--set", "shape=oval"], 2, "round or elongated"),
        (["outs", "--method", "kmeans", "--clusters", "1"], 2, "2 or more"),
        (["outs", "--method", "kmeans", "--clusters", "100000"], 2, "as many locations"),
        (["outs", "--method", "kmeans", "--truth", "nowhere.tsv"], 2, "nowhere.tsv"),
        (["outs", "--method", "kmeans", "--clusters", "3", "--values", "predicted"], 2, "prediction.h5ad"),
        (["outs", "--method", "kmeans", "--clusters", "3", "--values", "both"], 2, "measured or predicted"),
        (["outs", "--method", "kmeans", "--clusters", "3", "--seeds", "0"], 2, "--seeds"),
        (["nowhere"], 2, "nothing at"),
        (["cut.h5ad", "--clusters", "3"], 3, "truncated"),
        (["old.h5ad", "--clusters", "3"], 3, "this version"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(folder: Path, words: list[str], code: int, sentence: str) -> None:
    """The command exits with a code and a sentence, without a traceback, and writes nothing."""
    whole = (folder / "prediction.h5ad").read_bytes()
    (folder / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    old = anndata.read_h5ad(folder / "prediction.h5ad")
    del old.obsm["spatial_um"]
    old.write_h5ad(folder / "old.h5ad")
    exit_code, output = run(folder / words[0], *words[1:], "--out", folder / "never")
    assert exit_code == code, output
    assert sentence in " ".join(output.split())
    assert "Traceback" not in output
    assert not (folder / "never").exists()


def test_more_values_than_memory_holds_are_refused_before_they_are_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With little memory a section and a prediction are refused with what they need, and nothing is written."""
    monkeypatch.setattr("histosge.domains.memory.available_bytes", lambda: 100_000)
    for name, cure in (("outs", "--genes (hvg:9)"), ("prediction.h5ad", "at fewer locations")):
        code, output = run(folder / name, "--out", tmp_path / "never")
        assert code == 2, output
        assert "GiB of memory" in output
        assert cure in " ".join(output.split())
        assert not (tmp_path / "never").exists()


def test_annotations_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Other spots, one column and one domain are refused; unknown spots and ``NA`` are ignored."""
    ids = np.array(["a", "b", "c"])
    path = tmp_path / "layers.tsv"
    for text, words in [
        ("barcode\tlayer\nx\tL1\n", "got none of its 3"),
        ("barcode\na\n", "two columns"),
        ("barcode\tlayer\na\tL1\nb\tL1\n", "at least two domains"),
        ("barcode\tlayer\n", "got none of its 3"),
        ("", "Expected a table"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_annotation(path, ids)
    path.write_text("barcode\tlayer\na\tL1\nb\tNA\nc\tL2\nz\tL3\n")
    assert read_annotation(path, ids) == ["L1", "", "L2"]


def test_tl_domains_adds_a_column(tmp_path: Path) -> None:
    """``hs.tl.domains`` writes categories and a summary into an AnnData; ``hs.pl.domains`` draws them."""
    adata = to_anndata(SECTION, PREDICTION)
    before = adata.copy()
    labels = hs.tl.domains(adata, "kmeans", clusters=3)
    assert list(adata.obs["domains_kmeans"]) == list(labels)
    assert set(adata.obs) == {*before.obs, "domains_kmeans"}
    assert adata.uns["domains_kmeans"]["clusters"] == 3
    at_spots = hs.tl.domains(adata, "kmeans", clusters=3, values="measured", key_added="spots")
    assert adata.obs["spots"].notna().sum() == len(SECTION)
    # one a location all the same
    assert np.array_equal(at_spots == "", adata.obs["spots"].isna())
    adata.write_h5ad(tmp_path / "with_domains.h5ad")
    figure = hs.pl.domains(adata, ["domains_kmeans", "spots"])
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 2
    labels = hs.tl.domains(SECTION, "kmeans", clusters=3)
    assert isinstance(hs.pl.domains(replace(SECTION, slide=None), {"kmeans": labels}), Figure)
    with pytest.raises(UsageError, match="no column 'nothing'"):
        hs.pl.domains(adata, "nothing")
    with pytest.raises(DataError, match="a domain for each"):
        hs.pl.domains(SECTION, {"short": labels[1:]})


def test_separate_pieces_of_tissue_are_a_warning() -> None:
    """A neighbourhood graph of several components is a message, one of a single component is not."""
    data = DomainInput.measured(SECTION, genes="all")
    method = build_method("stmask", epochs=2, starts=2)
    assert not find_domains(data, method, clusters=3).messages
    xy = np.array(data.xy_um)
    xy[xy[:, 0] > np.median(xy[:, 0])] += 1e5
    torn = find_domains(replace(data, xy_um=xy), method, clusters=3)
    assert [message.level for message in torn.messages] == ["warning"]
    assert "2 groups" in torn.messages[0].text


def test_numbers_stand_beside_pictures() -> None:
    """Each panel of ``hs.pl.enhance`` has its Moran's I; with a recipe the scores at test spots too."""
    recipe = hs.Recipe(model="kriging", genes="all")
    figure = hs.pl.enhance(SECTION, genes=["ZONE1", "FLAT1"], recipe=recipe, upsample=(2,))
    lines = [panel.get_xlabel() for panel in figure.axes[:6]]
    assert all("90 % interval covers" in lines[k] and "test spots: r" in lines[k] for k in (0, 3))
    assert all("at the spots" in lines[k] for k in (2, 5))
    structured, flat = (float(lines[k].split("r ")[1].split(",")[0]) for k in (0, 3))
    assert -1 < flat < structured < 1
    bare = hs.pl.enhance(SECTION, [("×4", PREDICTION)], ["ZONE1"])
    assert bare.axes[0].get_xlabel() == "test spots: not computed"
    with pytest.raises(UsageError, match="Did you mean ZONE1"):
        hs.pl.enhance(SECTION, [("×4", PREDICTION)], ["ZONE_1"])
    few = hs.Recipe(model="kriging", genes="hvg:3")
    fitted = {str(name) for name in hs.fit(SECTION, few).panel.names}
    outside = next(str(name) for name in SECTION.genes if name not in fitted)
    with pytest.raises(UsageError, match=rf"'{outside}' was measured.*genes='all'"):
        hs.pl.enhance(SECTION, genes=[outside], recipe=few, upsample=(2,))


def test_a_warning_reaches_users_of_python() -> None:
    """``hs.tl.domains`` on torn tissue warns."""
    far = np.array(SECTION.spots.xy)
    far[far[:, 0] > np.median(far[:, 0])] += 1e5
    torn = replace(SECTION, spots=hs.Points(far, SECTION.spots.ids, 55.0), slide=None, lattice=None)
    with pytest.warns(HistosgeWarning, match="not neighbours"):
        hs.tl.domains(torn, "stmask", clusters=3, epochs=2, starts=2)
