"""The same from Python: on files, on sections and on AnnData objects."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy
from matplotlib.figure import Figure

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger
from histosge.errors import HistosgeError, UsageError
from histosge.io.writers.h5ad import provenance

TISSUE = hs.synthetic(columns=12, rows=12, genes=30)
SECTION = TISSUE.section
KRIGING = hs.Recipe(model="kriging", genes="all")


@pytest.fixture
def adata(tmp_path: Path) -> anndata.AnnData:
    """What scanpy reads from the section's Space Ranger folder."""
    write_spaceranger(SECTION, tmp_path / "outs")
    with pytest.warns(FutureWarning):
        data = scanpy.read_visium(tmp_path / "outs")
    data.var_names_make_unique()
    return data


def test_features_go_into_obsm(adata: anndata.AnnData, tmp_path: Path) -> None:
    """``hs.pp.features`` adds one array and its metadata, and changes nothing else."""
    before = adata.copy()
    values = hs.pp.features(adata, store=tmp_path / "store")
    assert values.shape == (adata.n_obs, 150)
    assert np.array_equal(adata.obsm["X_texture"], values)
    assert adata.uns["X_texture"]["licence"] == "BSD-3-Clause"
    assert set(adata.obsm) == {*before.obsm, "X_texture"}
    assert (adata.X != before.X).nnz == 0
    adata.write_h5ad(tmp_path / "with_features.h5ad")


def test_enhance_returns_a_new_anndata(adata: anndata.AnnData) -> None:
    """``hs.tl.enhance`` predicts at more locations; its argument stays as it was."""
    before = adata.copy()
    fine = hs.tl.enhance(adata, KRIGING, upsample=4)
    assert fine.n_obs == 4 * adata.n_obs
    assert fine.obs["observed"].astype(bool).sum() == adata.n_obs
    assert set(adata.obsm) == set(before.obsm)
    grid = hs.tl.enhance(SECTION, KRIGING, spacing_um=60.0)
    assert grid.n_obs > adata.n_obs
    factored = hs.tl.enhance(adata, hs.Recipe(genes="all", options={"factors": 5}), upsample=2)
    assert np.isfinite(factored.X).all()


def test_enhance_says_how_it_was_made(tmp_path: Path) -> None:
    """What ``hs.tl.enhance`` returns carries the provenance that ``hs.run`` writes, also through a file."""
    fine = hs.tl.enhance(SECTION, KRIGING, upsample=2)
    fine.write_h5ad(tmp_path / "fine.h5ad")
    made = provenance(tmp_path / "fine.h5ad")
    hs.run(SECTION, KRIGING, target=hs.Target(upsample=2), out=tmp_path / "run")
    assert made == provenance(tmp_path / "run" / "prediction.h5ad")
    assert made["model"]["name"] == "kriging"
    assert fine.uns["histosge"]["recipe"]["genes"] == "all"


@pytest.mark.parametrize("factor", [0, -1, 9])
def test_impossible_upsampling_factors_are_refused(factor: int) -> None:
    """None and too many locations a spot are refused in a sentence, not taken for another number."""
    with pytest.raises(UsageError, match="1 to 8"):
        hs.tl.enhance(SECTION, KRIGING, upsample=factor)


def test_plots_are_figures() -> None:
    """``hs.pl`` draws sections and predictions; unknown genes are refused."""
    fitted = hs.fit(SECTION, KRIGING)
    prediction = hs.predict(fitted, SECTION, hs.upsampled(SECTION, 2))
    assert isinstance(hs.pl.enhance(SECTION, [("×2", prediction)], ["ZONE1"]), Figure)
    assert isinstance(hs.pl.overview(SECTION), Figure)
    with pytest.raises(UsageError, match="NoGene"):
        hs.pl.enhance(SECTION, [("×2", prediction)], ["NoGene"])
    with pytest.raises(UsageError, match="at least one"):
        hs.pl.enhance(SECTION, [], [])


def test_plots_go_into_given_axes_and_change_no_setting() -> None:
    """``ax`` takes one map, whose figure is returned; several maps are refused; settings of Matplotlib stay."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    prediction = hs.predict(hs.fit(SECTION, KRIGING), SECTION, hs.upsampled(SECTION, 2))
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert hs.pl.enhance(SECTION, [("×2", prediction)], ["ZONE1"], ax=left) is figure
    assert hs.pl.overview(SECTION, ax=right) is figure
    (drawn,) = [image.get_array() for image in left.images if image.get_array().ndim == 2]
    values = prediction.mean[:, int(np.flatnonzero(prediction.genes == "ZONE1")[0])]
    assert np.isclose(np.nanmax(drawn), values.max(), atol=0.2)
    assert len(right.images) == 1
    with pytest.raises(UsageError, match="one gene of one prediction"):
        hs.pl.enhance(SECTION, [("×2", prediction)], ["ZONE1", "TUMOUR1"], ax=left)
    labels = {"halves": np.where(SECTION.spots.xy[:, 0] > 500, "a", "b")}
    lower = figure.add_subplot()
    assert hs.pl.domains(SECTION, labels, ax=lower) is figure
    assert [text.get_text() for text in lower.get_legend().get_texts()] == ["a", "b"]
    assert dict(matplotlib.rcParams) == before


def test_run_from_python_writes_the_same_folder(tmp_path: Path) -> None:
    """``hs.run`` is the command line's ``run``; folders may be given as text, as README does."""
    result = hs.run(SECTION, KRIGING, target=hs.Target(upsample=2), out=str(tmp_path))
    record = result.as_dict()
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads(json.dumps(record))
    assert result.prediction == tmp_path / "prediction.h5ad"
    assert result.factors is None
    assert {path.name for path in result.figures} == {"section.png", "markers.png"}
    assert result.seconds >= sum(stage["wall_s"] for stage in result.stages.values())
    adata = anndata.read_h5ad(tmp_path / "prediction.h5ad")
    assert "sd" in adata.layers
    assert hs.load_fit(SECTION, str(tmp_path / "fit")).key == record["fit_key"]
    with pytest.raises(UsageError, match="other data"):
        hs.load_fit(hs.synthetic(columns=12, rows=12, genes=30, seed=1).section, tmp_path / "fit")


def test_a_section_without_image_can_be_kriged_and_says_what_else_it_needs() -> None:
    """Models of position work without image; others name the option that gives one."""
    from dataclasses import replace

    blind = replace(SECTION, slide=None)
    assert hs.tl.enhance(blind, KRIGING, upsample=2).n_obs == 2 * len(SECTION)
    with pytest.raises(HistosgeError, match=r"`image`.*`preset` positions"):
        hs.fit(blind, hs.Recipe())


def test_predictions_between_the_spots_follow_the_truth() -> None:
    """At locations that were never measured predictions are nearer to the truth than the nearest measurement is."""
    tissue = hs.synthetic(seed=2)
    # among spots: the patch of a location beside them shows glass
    locations = hs.upsampled(tissue.section, 4, boundary="inner")
    between = np.flatnonzero(~locations.observed)
    truth = tissue.truth(locations.xy[between])
    errors = {}
    for name in ("nearest", "histosge", "cokriging"):
        fitted = hs.fit(tissue.section, hs.Recipe(model=name, genes="all"))
        prediction = hs.predict(fitted, tissue.section, locations.take(between))
        columns = [int(np.flatnonzero(tissue.section.genes == gene)[0]) for gene in prediction.genes]
        errors[name] = float(((prediction.mean - truth[:, columns]) ** 2).mean())
    assert errors["histosge"] < 0.5 * errors["nearest"]
    # the default is nearer still
    assert errors["cokriging"] < 0.9 * errors["histosge"]
