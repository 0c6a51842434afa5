"""Spots made of a finer truth, its scales, and the table of models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fine_truth_samples import cells_of, small_tissue, write_cells
from scipy import sparse

from histosge.errors import DataError, UsageError
from histosge.evaluation.baselines import BASELINES, FINER_BASELINES
from histosge.evaluation.fine_truth.evaluate import evaluate_fine_truth
from histosge.evaluation.fine_truth.pseudo_spots import Layout, pseudo_spots
from histosge.evaluation.fine_truth.read_truth import read_truth
from histosge.evaluation.fine_truth.scales import scaled
from histosge.evaluation.fine_truth.scores import score_scale, statistics
from histosge.evaluation.fine_truth.tables import COLUMNS, cost_table
from histosge.evaluation.fine_truth.truth import FineTruth
from histosge.geometry.platforms import visium_hd
from histosge.geometry.points import Points
from histosge.prediction.prediction import Prediction
from histosge.section.expression import depth
from histosge.workflow.recipe import Recipe

TISSUE = small_tissue()
TRUTH = cells_of(TISSUE)


def test_halves_share_no_molecule_and_lose_none() -> None:
    """Every molecule is in exactly one half."""
    first, second = TRUTH.halves(3)
    assert (abs(first.counts + second.counts - TRUTH.counts)).nnz == 0
    assert first.counts.sum() == pytest.approx(TRUTH.counts.sum() / 2, rel=0.01)
    assert min(first.counts.data.min(), second.counts.data.min()) > 0


@pytest.mark.parametrize("layout", ["visium", "wide", "legacy", "square:60:40"])
def test_a_spot_has_the_molecules_of_the_cells_in_its_disk(layout: str) -> None:
    """Counts of spots are those of the first half, and the lattice has the pitch of its layout."""
    spots = pseudo_spots(TRUTH, layout, seed=1)
    section, first = spots.section, TRUTH.halves(1)[0]
    distance = np.linalg.norm(section.spots.xy[:, None] - TRUTH.points.xy[None], axis=2)
    members = sparse.csr_matrix((distance <= spots.layout.diameter_um / 2).astype(float))
    assert abs(members @ first.counts - section.counts).nnz == 0
    assert section.pitch_um == pytest.approx(spots.layout.pitch_um)
    assert section.lattice is not None
    assert section.lattice.kind == spots.layout.kind
    assert spots.other_half.counts.sum() + first.counts.sum() == TRUTH.counts.sum()


def test_seeds_move_and_turn_the_lattice() -> None:
    """The same seed gives the same spots, another seed others."""
    same, again, other = (pseudo_spots(TRUTH, seed=seed).section for seed in (4, 4, 5))
    assert same.fingerprint == again.fingerprint
    angles = [np.degrees(np.arctan2(*section.lattice.basis_um[0][::-1])) % 60 for section in (same, other)]
    assert abs(angles[0] - angles[1]) > 1
    assert not np.isin(other.spots.xy[:, 0], same.spots.xy[:, 0]).any()


def test_depth_is_thinned_to_the_median_asked_for() -> None:
    """The median of the spots' molecules is the one asked for; more than there are is refused."""
    thin = pseudo_spots(TRUTH, median_depth=60.0).section
    assert np.median(depth(thin.counts)) == pytest.approx(60, abs=6)
    with pytest.raises(UsageError, match="`median_depth` must be above 0 and at most"):
        pseudo_spots(TRUTH, median_depth=1e6)


@pytest.mark.parametrize("layout", ["hexa", "square:60", "square:60:80", "round:60:40", "square:a:b"])
def test_unknown_layouts_are_refused(layout: str) -> None:
    """A layout is a known name, or a kind with a pitch and a diameter that do not overlap."""
    with pytest.raises(UsageError, match="`layout`"):
        Layout.parse(layout)


def test_a_layout_too_wide_for_the_tissue_is_refused() -> None:
    """Fewer spots than a fit needs are no section."""
    with pytest.raises(UsageError, match="a fit needs 12"):
        pseudo_spots(TRUTH, "square:900:500")


def test_bins_hold_every_molecule_near_the_spots_once() -> None:
    """Bins add up to the other half; those between spots touch none, those inside have their centre in one."""
    spots = pseudo_spots(TRUTH, seed=0)
    fine, coarse = scaled(spots, 25.0), scaled(spots, 100.0)
    assert coarse.counts.sum() == pytest.approx(spots.other_half.counts.sum(), rel=0.02)
    centres = spots.section.spots.xy
    corner = np.abs(fine.xy_um[:, None] - centres[None]) - 12.5
    gap = np.linalg.norm(np.maximum(corner, 0), axis=2).min(axis=1)
    assert (gap[fine.zone == "between"] >= 27.5).all()
    assert (fine.nearest_um[fine.zone == "inside"] <= 27.5).all()
    assert {"inside", "between", "edge"} <= set(fine.zone)
    # a bin wider than a spot is predicted in parts, whose mean it takes
    assert len(coarse.parts) == 4 * len(coarse)
    values = np.arange(len(coarse.parts), dtype=float)[:, None]
    assert coarse.of_parts(values)[1, 0] == values[4:8].mean()


def test_bins_of_a_truth_of_bins_are_multiples_of_them() -> None:
    """Widths that would cut bins apart, and cells of a truth without cells, are refused."""
    side = np.arange(30) * 8.0 + 4
    xy_um = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    counts = sparse.csr_matrix(np.full((900, 2), 20))
    points = Points(xy_um, np.arange(900).astype(str), visium_hd(8).diameter_um or 0.0)
    truth = FineTruth("bins", counts, np.array(["A", "B"]), points, "bin", unit_um=8.0)
    spots = pseudo_spots(truth, "square:40:30")
    assert (
        np.bincount(np.asarray(scaled(spots, 24.0).counts.sum(axis=1)).astype(int).ravel() // 60).argmax()
        >= 2
    )
    with pytest.raises(UsageError, match="multiple of the 8 µm bins"):
        scaled(spots, 20.0)
    with pytest.raises(UsageError, match="has bins, not cells"):
        scaled(spots, "cells")


def test_the_expected_expression_reaches_the_noise_ceiling() -> None:
    """At cells and in bins, the known expectation correlates with the counts as the ceiling says."""
    # cells of one depth: depth that both halves share would raise the ceiling
    spots = pseudo_spots(cells_of(TISSUE, molecules=300.0, depth_sd=0.0), seed=0)
    columns = np.arange(len(TRUTH.genes))
    for scale in ("cells", 50.0):
        truth = scaled(spots, scale)
        known = Prediction(
            truth.parts, TRUTH.genes, TISSUE.truth(truth.parts.xy, 50.0 if scale == 50.0 else 0.0)
        )
        r = score_scale(truth, known, columns)["all", "pcc"]
        ceiling = statistics(truth, columns, seed=0)["all", "ceiling"]
        driven = ~np.char.startswith(TRUTH.genes, "FLAT")
        assert np.nanmean((r - ceiling)[driven]) == pytest.approx(0, abs=0.06)


def test_depth_kriging_and_ridge_stand_beside_every_model_at_both_scales() -> None:
    """Baselines at spots and below their scale differ in those that only one of the scales has."""
    shared = [recipe for recipe in BASELINES if recipe in FINER_BASELINES]
    assert [recipe.model for recipe in shared] == ["nearest", "idw", "kriging", "depth", "ridge"]
    other = [recipe for recipe in FINER_BASELINES if recipe not in BASELINES]
    assert other == [Recipe("cubic"), Recipe("cokriging", "positions")]


def test_models_are_ranked_in_bins_that_no_spot_touches() -> None:
    """Cokriging is ahead of the nearest spot at every scale, between spots too; cells are on no raster."""
    result = evaluate_fine_truth(cells_of(TISSUE, 1500), seeds=1, widths_um=[25])
    for scale in ("cells", "25 µm"):
        cokriging, nearest = (
            result.select(scale=scale, zone="between", preset="", model=name)[0]
            for name in ("cokriging", "nearest")
        )
        assert cokriging["pcc"] > nearest["pcc"] + 0.02
        assert 0 < cokriging["of_ceiling"] <= 1.2
    assert "ssim" in result.select(scale="25 µm", zone="all")[0].values
    assert "ssim" not in result.select(scale="cells", zone="all")[0].values


@pytest.mark.slow
def test_rivals_predict_bins_and_cells_or_say_why_not() -> None:
    """Systems from outside the paper are scored below the scale of spots; one that predicts whole spots is left out."""
    short = {"epochs": 2, "width": 8}
    recipes = [
        Recipe("bleep", options={**short, "nearest": 3}),
        Recipe("mclstexp", options={**short, "depth": 1, "heads": 1, "head_width": 4}),
        Recipe(
            "triplex",
            options=short | {"depths": (1, 1, 1), "heads": (1, 1, 1), "target_side": 1, "neighbour_side": 3},
        ),
        Recipe("tesla"),
        Recipe("bayesspace", options={"iterations": 20, "spot_iterations": 10}),
        Recipe("istar", options={"superpixels": 3.0, "components": 3, "factors": 3, "epochs": 2}),
        Recipe("stentrans", "doubled", options={"patch": 2, "heads": 2, "depth": 1, "epochs": 2}),
        Recipe("deepspot"),
    ]
    result = evaluate_fine_truth(cells_of(TISSUE, 1500), recipes, widths_um=(50.0,), seeds=(0,))
    assert list(result.skipped) == ["deepspot"]
    scored = result.scores[result.scores["metric"] == "pcc"]
    assert {recipe.model for recipe in recipes[:-1]} <= set(scored["model"])


def test_skill_compares_with_kriging_in_the_same_bins_of_the_same_seed() -> None:
    """It is the mean over genes and seeds of 1 − MSE / MSE of kriging, scale by scale and part by part."""
    blind = replace(cells_of(TISSUE, 1500), slide=None)
    result = evaluate_fine_truth(blind, "kriging", seeds=2, widths_um=[50])
    errors = result.scores[result.scores["metric"] == "mse"]
    table = errors[errors["preset"] == ""].pivot(
        index=["scale", "zone", "seed", "gene"], columns="model", values="value"
    )
    by_part = (1 - table["depth"] / table["kriging"]).groupby(level=["scale", "zone"]).mean()
    assert {"cells", "50 µm"} == set(by_part.index.get_level_values(0))
    for (scale, zone), value in by_part.items():
        (row,) = result.select(scale=str(scale), zone=str(zone), model="depth")
        assert row["skill"] == pytest.approx(value), (scale, zone)
        (kriging,) = result.select(scale=str(scale), zone=str(zone), model="kriging")
        assert kriging["skill"] == 0.0
    assert {"skill", "undefined"} < set(COLUMNS)
    assert {cost["device"] for cost in result.costs} == {"cpu"}


def test_tables_and_figure_are_written_and_may_be_written_again(tmp_path: Path) -> None:
    """A second evaluation replaces the first; a file of another program is not replaced."""
    blind = replace(cells_of(TISSUE, 1500), slide=None)
    for _ in range(2):
        result = evaluate_fine_truth(blind, "kriging", seeds=1, widths_um=[50], out=tmp_path)
    # the image is missing: which models need it is said
    assert set(result.skipped) == {"ridge"}
    without_image = {recipe.model for recipe in FINER_BASELINES} - {"ridge"}
    assert {row.model for row in result.rows} == without_image
    text = (tmp_path / "fine_truth.md").read_text()
    assert "| low |" in text
    # nothing was trained and there is no image: no column of epochs, none of windows
    assert "| model | wall s | CPU s | peak GB |\n" in text
    trained = [dict(cost, epochs=9, best_epoch=7, windows_um="55, 110") for cost in result.costs[-1:]]
    head, rows = cost_table(replace(result, costs=(*result.costs[:-1], *trained)))
    assert head[-2:] == ("epochs (kept)", "windows, µm")
    assert [row[-2:] for row in rows] == [*[("–", "–")] * (len(rows) - 1), ("9 (7)", "55, 110")]
    assert {path.name for path in result.files} == {
        path.name for path in tmp_path.iterdir() if path.is_file()
    }
    frame, genes = (
        pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("fine_truth", "fine_truth_genes")
    )
    assert {"all", "inside", "near", "middle", "far"} <= set(frame["zone"])
    # what is known of genes without any model stands apart: each score has a model, and each gene and part a ceiling
    assert set(frame["model"]) == {row.model for row in result.rows}
    assert set(frame["metric"]).isdisjoint(genes.columns)
    assert not genes.isna().to_numpy().any()
    assert not genes.duplicated(["scale", "zone", "seed", "gene"]).any()
    every = genes[(genes["zone"] == "all") & (genes["scale"] == "50 µm")]
    row = result.select(scale="50 µm", zone="all", model="kriging")[0]
    assert row["ceiling"] == pytest.approx(every["ceiling"].mean())
    assert row["bins"] == every["bins"].unique()
    (tmp_path / "fine_truth.md").write_text("my notes")
    with pytest.raises(UsageError, match="did not write"):
        evaluate_fine_truth(blind, seeds=1, out=tmp_path)


def test_cells_are_read_into_the_frame_of_their_image(tmp_path: Path) -> None:
    """Positions turned against the image come back in its frame, with its scale, from a folder or a table."""
    path = write_cells(TRUTH, tmp_path / "cells")
    cells = read_truth(path)
    assert cells.slide is not None
    assert cells.slide.mpp == pytest.approx(2.0)
    np.testing.assert_allclose(cells.points.xy, TRUTH.points.xy, atol=1e-6)
    assert abs(cells.counts - TRUTH.counts).nnz == 0
    assert cells.genes.tolist() == TRUTH.genes.tolist()
    alone = read_truth(path / "cells.csv.gz")
    assert alone.slide is None
    table = pd.read_csv(path / "cells.csv.gz")
    table.to_parquet(tmp_path / "table.parquet")
    assert abs(read_truth(tmp_path / "table.parquet").counts - TRUTH.counts).nnz == 0


def test_anndata_of_cells_is_read(tmp_path: Path) -> None:
    """Positions come from obs, where their names say µm; obsm alone is refused."""
    import anndata

    obs = pd.DataFrame(index=TRUTH.points.ids)
    cells = anndata.AnnData(TRUTH.counts, obs=obs, obsm={"spatial": np.array(TRUTH.points.xy)})
    cells.var_names = TRUTH.genes
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="have no unit"):
        read_truth(tmp_path / "cells.h5ad")
    cells.obs["x_centroid"], cells.obs["y_centroid"] = TRUTH.points.xy.T
    cells.write_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_allclose(read_truth(tmp_path / "cells.h5ad").points.xy, TRUTH.points.xy)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="x_um"), "Expected a column x_um"),
        (lambda t: t.assign(transcript_counts=5), "'transcript_counts'"),
        (lambda t: t.assign(cluster_name="B cell"), "'cluster_name'"),
        (lambda t: t.assign(GENE=0.5), "whole numbers"),
        (lambda t: t.assign(GENE=-1), "whole numbers"),
        (lambda t: t.assign(pixel_x=t["pixel_y"]), "turned and scaled"),
        (lambda t: t.iloc[:, :6], "columns of genes"),
    ],
)
def test_tables_that_are_no_cells_are_refused(tmp_path: Path, change: object, sentence: str) -> None:
    """What is no gene, no raw count or no position is named."""
    path = write_cells(cells_of(TISSUE, 200), tmp_path / "cells")
    table = pd.read_csv(path / "cells.csv.gz")
    change(table).to_csv(path / "cells.csv.gz", index=False)
    with pytest.raises(DataError, match=sentence):
        read_truth(path)


def test_an_image_without_a_frame_is_refused(tmp_path: Path) -> None:
    """Without pixel positions nothing says where cells lie on the image, unless the user does."""
    path = write_cells(cells_of(TISSUE, 200), tmp_path / "cells")
    table = pd.read_csv(path / "cells.csv.gz").drop(columns=["pixel_x", "pixel_y"])
    table.to_csv(path / "cells.csv.gz", index=False)
    with pytest.raises(UsageError, match="where they lie on the image"):
        read_truth(path)


def test_spots_are_no_finer_truth(tmp_path: Path) -> None:
    """A section of ordinary spots, and a path without anything, are refused."""
    with pytest.raises(UsageError, match="of cells or of Visium HD bins"):
        read_truth(TISSUE.write(tmp_path / "outs"))
    with pytest.raises(UsageError, match="got nothing"):
        read_truth(tmp_path / "nothing")
