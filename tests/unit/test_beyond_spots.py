"""Tissue beyond the measured spots is predicted when asked for, and nothing there passes for measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
from cokriging_samples import samples_of

import histosge as hs
from histosge._runtime.types import Array
from histosge.encoders import load_encoder
from histosge.errors import UsageError
from histosge.models.base import FactoredPredictor
from histosge.models.cokriging.model import Cokriging
from histosge.prediction.factored import FactoredPrediction
from histosge.section.target import default_target, locate, tissue_of
from histosge.workflow import job, left_out_halves, written_genes
from histosge.workflow.beyond_spots import is_beyond, with_error_away
from histosge.workflow.encode import encode, many_patches
from histosge.workflow.left_out_halves import known_away, sampled

TISSUE = hs.synthetic(columns=12, rows=12, genes=18, seed=2)
WEST = TISSUE.section.spots.xy[:, 0] < 600


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hs.RunResult:
    """A run of the western half of a tissue, predicted over the whole image."""
    section = replace(TISSUE.section.take(WEST), lattice=TISSUE.section.lattice)
    return hs.run(
        section,
        hs.Recipe(genes="all"),
        target=hs.Target(spacing_um=60, reach_um=float("inf")),
        out=tmp_path_factory.mktemp("runs") / "run",
        outputs=hs.Outputs(figures=False),
    )


def test_the_grid_reaches_over_all_tissue_of_the_image(run: hs.RunResult) -> None:
    """Locations lie on the tissue of the other half, are not observed, and hold their distance to the spots."""
    adata = anndata.read_h5ad(run.prediction)
    xy_um = np.asarray(adata.obsm["spatial_um"])
    east = xy_um[:, 0] > 800
    assert east.sum() > 50
    assert adata.obs["in_tissue"].astype(bool).all()
    assert not adata.obs["observed"].astype(bool).any()
    spots = TISSUE.section.spots.xy[WEST]
    nearest = np.linalg.norm(xy_um[:, None] - spots, axis=2).min(axis=1)
    assert np.allclose(adata.obs["distance_um"], nearest, atol=0.01)


def test_the_known_share_falls_with_the_distance(run: hs.RunResult) -> None:
    """A warning names the distances and the explained shares, which run.json holds too."""
    (message,) = (message for message in run.messages if "further than one pitch" in message.text)
    assert message.level == "warning"
    rows = json.loads((run.out / "run.json").read_text())["beyond_spots"]
    known = [row for row in rows if row["known_share"] is not None]
    shares = [row["known_share"] for row in known]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] > 0.2
    assert f"{100 * shares[-1]:.0f} % up to {known[-1]['to_um']:.0f} µm" in message.text
    # halves of the western half are narrower than the eastern one is far
    assert rows[-1]["known_share"] is None
    assert "further away nothing was checked" in message.text


def test_standard_deviations_beyond_the_spots_are_as_large_as_the_errors() -> None:
    """There the posterior alone states half of the error that is found; among the spots nothing changes."""
    tissue = hs.synthetic(columns=16, rows=16, genes=30, seed=3)
    west = tissue.section.spots.xy[:, 0] < np.median(tissue.section.spots.xy[:, 0])
    section = replace(tissue.section.take(west), lattice=tissue.section.lattice)
    fit = hs.fit(section, hs.Recipe(genes="all"))
    locations = locate(section, hs.Target(spacing_um=80, reach_um=float("inf")), tissue_of(section))
    inputs = fit.inputs(encode(section, locations, needs=fit.model.needs, encoder=fit.encoder))
    assert isinstance(fit.predictor, FactoredPredictor)
    before = fit.predictor.factored(inputs)
    after, away = with_error_away(before, fit, section)
    assert away is not None
    assert before.score_sd is not None
    assert after.score_sd is not None
    assert np.array_equal(before.scores, after.scores)
    beyond = is_beyond(section, locations.distance_um(section.spots))
    assert np.array_equal(before.score_sd[~beyond], after.score_sd[~beyond])
    assert (after.score_sd >= before.score_sd).all()
    genes = np.arange(len(after.basis))
    truth = tissue.truth(locations.xy[beyond], 80)[:, section.columns(after.genes)]
    error = ((after.take(beyond).means(genes) - truth) ** 2).mean()
    old, new = (float((_sds(part.take(beyond)) ** 2).mean()) for part in (before, after))
    assert old < 0.6 * error
    assert 0.8 * error < new < 2 * error
    # the same in memory, with the noise of a measurement
    sd, whole = hs.predict(fit, section, locations).sd, before.whole(list(fit.genes), observation=True).sd
    assert sd is not None
    assert whole is not None
    assert np.allclose(sd[~beyond], whole[~beyond], rtol=1e-4)
    assert (sd[beyond] > whole[beyond] * 0.999).all()
    assert sd[beyond].mean() > 1.05 * whole[beyond].mean()


def _sds(prediction: FactoredPrediction) -> Array:
    sd = prediction.sds(np.arange(len(prediction.basis)))
    assert sd is not None
    return sd


def test_errors_away_grow_with_distance_and_are_unrelated_further_than_was_measured() -> None:
    """Positions alone know little of the other half: the unknown share rises to that of a prediction of the mean."""
    noise_sd = np.full(36, 0.1)
    away = known_away(
        samples_of(), Cokriging(image=False), noise_sd=noise_sd, edges_um=[200.0, 400.0, 800.0, np.inf]
    )
    assert (np.diff(away.to_um) > 0).all()
    assert (np.diff(away.unknown_share) >= 0).all()
    assert away.unknown_share[-1] > 0.7
    assert away.at(np.array([1.0, away.furthest_um + 1])).tolist() == [
        away.unknown_share[0],
        max(2.0, away.unknown_share[-1]),
    ]


def test_sections_too_small_for_halves_are_known_nowhere_else() -> None:
    """Where no half can be fitted, every location beyond the spots has the error of an unrelated prediction."""
    few = samples_of().take(np.arange(30))
    away = known_away(few, Cokriging(), noise_sd=np.zeros(36), edges_um=[np.inf])
    assert away.furthest_um == 0
    assert away.at(np.array([150.0])).tolist() == [2.0]


def test_genes_without_signal_are_known_nowhere_else() -> None:
    """Where all variance is noise no share of it can be known, and nothing is divided by 0."""
    away = known_away(samples_of(), Cokriging(image=False), noise_sd=np.full(36, 1e3), edges_um=[np.inf])
    assert away.at(np.array([150.0])).tolist() == [2.0]


def test_the_spots_of_the_check_do_not_depend_on_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many spots the same ones are taken, however their rows are ordered."""
    monkeypatch.setattr(left_out_halves, "_MOST_SPOTS", 40)
    section = TISSUE.section
    permuted = section.take(np.random.default_rng(0).permutation(len(section)))
    fit = hs.fit(section, hs.Recipe("cokriging", preset="positions", genes="all"))
    first, second = (
        sampled(fit, part, hs.Compute())[0].inputs.locations.points.ids for part in (section, permuted)
    )
    assert len(first) == 40
    assert set(first) == set(second)


def test_a_grid_among_the_spots_says_nothing_of_distances(tmp_path: Path) -> None:
    """Without a reach the grid ends at one pitch, and its file has no column of distances."""
    section = TISSUE.section
    near = hs.run(
        section,
        hs.Recipe(genes="all", preset="positions"),
        target=hs.Target(spacing_um=100),
        out=tmp_path / "near",
        outputs=hs.Outputs(figures=False),
    )
    assert "distance_um" not in anndata.read_h5ad(near.prediction).obs
    assert "reach_um" not in json.loads((near.out / "run.json").read_text())["target"]


def test_a_reach_needs_a_grid_and_an_image() -> None:
    """A reach without grid, or without tissue to reach over, is refused."""
    with pytest.raises(UsageError, match="`reach_um` needs `spacing_um`"):
        hs.Target(upsample=4, reach_um=500)
    blind = replace(TISSUE.section, slide=None)
    with pytest.raises(UsageError, match="no image that shows tissue"):
        locate(blind, hs.Target(spacing_um=50, reach_um=500), tissue_of(blind))


def test_many_spots_are_predicted_themselves_and_few_genes_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limits the defaults are one location a spot and the genes shown; messages say so; factors hold all."""
    monkeypatch.setattr("histosge.section.target.MANY_SPOTS", 50)
    monkeypatch.setattr(job, "MANY_SPOTS", 50)
    monkeypatch.setattr(written_genes, "_MOST_VALUES", 100)
    section = TISSUE.section
    assert default_target(section).upsample == 1
    outputs = hs.Outputs(figures=False, show="ZONE1")
    result = hs.run(
        section, hs.Recipe(genes="all", preset="positions"), out=tmp_path / "run", outputs=outputs
    )
    texts = " ".join(message.text for message in result.messages)
    assert f"Predicted at the {len(section)} spots themselves" in texts
    assert "prediction.h5ad holds 1 genes" in texts
    adata = anndata.read_h5ad(result.prediction)
    assert adata.var_names.tolist() == ["ZONE1"]
    assert len(adata) == len(section)
    factors = anndata.read_h5ad(tmp_path / "run/factors.h5ad")
    assert factors.n_vars == 18
    monkeypatch.setattr(written_genes, "_MOST_VALUES", 10**9)
    whole = hs.run(
        section, hs.Recipe(genes="all", preset="positions"), out=tmp_path / "whole", outputs=outputs
    )
    assert np.array_equal(adata.X, anndata.read_h5ad(whole.prediction)[:, "ZONE1"].X)


def test_patches_of_many_locations_are_called_slow() -> None:
    """The warning names the dense form; a dense encoder and few locations have none."""
    texture, dense = load_encoder("texture"), load_encoder("texture@dense")
    (message,) = many_patches(texture, 100_001)
    assert "texture@dense" in message.text
    assert many_patches(texture, 100_000) == many_patches(dense, 100_001) == ()
