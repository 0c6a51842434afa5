"""A prediction kept as factors says what the matrix would say, in memory and on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy
import squidpy

from histosge.datasets import synthetic
from histosge.errors import DataError, UsageError
from histosge.io.layout.measured_section import OTHERS
from histosge.io.writers import factors, h5ad
from histosge.prediction.attribution import ORIGINS, Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.prediction.unfitted_genes import extend
from histosge.section.expression import log_cp10k
from histosge.section.locations import upsampled

SECTION = synthetic(columns=8, rows=8, genes=60).section
PLACES = upsampled(SECTION, 4)
RNG = np.random.default_rng(1)
# a part of the genes, in another order than the section's
CHOSEN = RNG.permutation(60)[:40]
K = 5


def basis_of(genes: np.ndarray) -> Basis:
    g = len(genes)
    draw = RNG.normal(size=(g, K)).astype(np.float32)
    offset, noise_sd, calibration_factor = (RNG.uniform(0.2, 1.5, g).astype(np.float32) for _ in range(3))
    return Basis(genes, offset, draw, noise_sd, calibration_factor, np.full(g, np.nan, dtype=np.float32))


BASIS = basis_of(SECTION.genes[CHOSEN])
SCORES = RNG.normal(size=(len(PLACES), K)).astype(np.float32)
SCORE_SD = RNG.uniform(0.01, 1.0, (len(PLACES), K)).astype(np.float32)
FACTS = {"seed": 3, "nothing": None, "nested": {"a/b": 1.5}}
FACTORED = FactoredPrediction(PLACES, BASIS, SCORES, SCORE_SD, FACTS)


def test_a_gene_is_its_offset_and_a_weighted_sum_of_fields() -> None:
    """Means are cut at 0; spreads add squares; measurements add the nugget; calibration multiplies."""
    row = 11
    name = str(BASIS.genes[row])
    mean = [
        BASIS.offset[row] + sum(f * w for f, w in zip(place, BASIS.loadings[row], strict=True))
        for place in SCORES
    ]
    assert np.allclose(FACTORED.gene(name), np.maximum(mean, 0), atol=1e-5)
    variance = np.array(
        [sum((s * w) ** 2 for s, w in zip(sd, BASIS.loadings[row], strict=True)) for sd in SCORE_SD]
    )
    assert np.allclose(FACTORED.gene_sd(name), np.sqrt(variance) * BASIS.calibration_factor[row], rtol=1e-4)
    noisy = np.sqrt(variance + BASIS.noise_sd[row] ** 2) * BASIS.calibration_factor[row]
    assert np.allclose(FACTORED.gene_sd(name, observation=True), noisy, rtol=1e-4)


def test_the_spread_is_that_of_draws() -> None:
    """The standard deviation of a gene is the one of fields drawn at random, where nothing is cut."""
    draws = SCORES[0] + SCORE_SD[0] * np.random.default_rng(0).normal(size=(200_000, K))
    drawn = draws @ BASIS.loadings.T.astype(float)
    expected = drawn.std(axis=0) * BASIS.calibration_factor
    sd = FACTORED.take([0]).whole().sd
    assert sd is not None
    assert np.allclose(sd[0], expected, rtol=0.02)


@pytest.mark.parametrize("bytes_", [1, 1 << 10, 1 << 24])
def test_blocks_make_the_matrix_whatever_their_size(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    """Blocks hold every row once and in order, and the genes in the order asked for."""
    monkeypatch.setattr("histosge.prediction.factored._BLOCK_BYTES", bytes_)
    genes = [str(BASIS.genes[i]) for i in (3, 0, 17)]
    parts = list(FACTORED.blocks(genes))
    assert np.array_equal(np.concatenate([part[0] for part in parts]), np.arange(len(PLACES)))
    matrix = FACTORED.whole(genes)
    for column, gene in enumerate(genes):
        assert np.allclose(matrix.mean[:, column], FACTORED.gene(gene), atol=1e-6)
    assert list(matrix.genes) == genes


def test_without_spread_there_is_none() -> None:
    """A prediction that does not know how sure it is does not pretend."""
    unsure = replace(FACTORED, score_sd=None)
    assert unsure.gene_sd(str(BASIS.genes[0])) is None
    assert unsure.whole().sd is None


def test_unknown_and_repeated_genes_are_sentences() -> None:
    """Near misses are offered; a basis has each gene once; fields fit the loadings."""
    with pytest.raises(UsageError, match="Did you mean"):
        FACTORED.gene(str(BASIS.genes[0]) + "x")
    with pytest.raises(DataError, match="twice"):
        BASIS.take([1, 1])
    with pytest.raises(DataError, match="scores"):
        FactoredPrediction(PLACES, BASIS, SCORES[:, :3])


def test_factors_come_back(tmp_path: Path) -> None:
    """Fields and loadings to the bit, deviations of factors to a thousandth, places and provenance whole."""
    found = factors.read(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert np.array_equal(found.scores, SCORES)
    for name in ("genes", "offset", "loadings", "noise_sd", "calibration_factor"):
        assert np.array_equal(getattr(found.basis, name), getattr(BASIS, name)), name
    assert np.isnan(found.basis.r_loo).all()
    assert found.score_sd is not None
    assert np.allclose(found.score_sd, SCORE_SD, rtol=1e-3)
    assert found.provenance == FACTS == h5ad.provenance(tmp_path / "factors.h5ad")
    for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
        assert np.array_equal(getattr(found.locations, name), getattr(PLACES, name)), name
    assert np.array_equal(found.locations.xy, PLACES.xy)
    assert found.locations.points.diameter_um == PLACES.points.diameter_um


def known(basis: Basis) -> Basis:
    """The same, knowing that its fields come from three places."""
    parts = np.random.default_rng(2).normal(size=(3, 80, K)) * np.array([1.0, 0.7, 0.4])[:, None, None]
    return replace(basis, attribution=Attribution.of(parts))


def test_shares_are_of_each_genes_own_parts() -> None:
    """What a part of a gene has in common with the whole of it, over the whole, whichever fields it is made of."""
    parts = np.random.default_rng(2).normal(size=(3, 80, K))
    shares = Attribution.of(parts).shares(BASIS.loadings)
    genes = np.stack([part @ BASIS.loadings.T.astype(float) for part in parts])
    whole = genes.sum(axis=0)
    for row in range(0, len(BASIS), 7):
        expected = [np.cov(part[:, row], whole[:, row])[0, 1] / whole[:, row].var(ddof=1) for part in genes]
        assert min(expected) > 0
        assert np.allclose(shares[row], expected)


def test_a_part_against_the_whole_counts_as_none_and_no_pattern_has_no_parts() -> None:
    """Shares are never negative and add up to 1; a gene that is the same everywhere has three zeros."""
    wave = np.random.default_rng(0).normal(size=(50, 1))
    found = Attribution.of(np.stack([2 * wave, -0.5 * wave, 0.5 * wave])).shares(
        np.array([[1.0], [0.0], [1e-9]])
    )
    assert np.allclose(found, [[0.8, 0.0, 0.2], [0, 0, 0], [0, 0, 0]])
    assert np.allclose(known(BASIS).attribution.as_auxiliary().shares(BASIS.loadings), [0, 0, 1])  # type: ignore[union-attr]


def test_sources_belong_to_their_fields() -> None:
    """Matrices of another number of factors, or that are none, are refused."""
    with pytest.raises(DataError, match="attribution of 5 factors, got 4"):
        replace(BASIS, attribution=Attribution(np.zeros((3, 4, 4))))
    with pytest.raises(DataError, match="factors × factors"):
        Attribution(np.zeros((2, 5, 5)))


def test_genes_outside_the_panel_have_shares_too() -> None:
    """Loadings found by regression answer like those of the panel; taking genes out takes their shares along."""
    basis = known(BASIS)
    scores = RNG.normal(size=(len(SECTION), K))
    whole = extend(basis, scores, SECTION.counts, SECTION.genes)
    assert whole.shares is not None
    assert basis.attribution is not None
    assert np.allclose(whole.shares[40:], basis.attribution.shares(whole.loadings[40:]))
    assert (whole.shares[40:].sum(axis=1) > 0.99).any()
    some = whole.take([50, 3])
    assert some.shares is not None
    assert np.allclose(some.shares, whole.shares[[50, 3]])


def test_shares_come_back_from_the_file(tmp_path: Path) -> None:
    """One column an origin, and the matrices they follow from: read again they say the same."""
    basis = known(BASIS)
    path = factors.write(tmp_path / "factors.h5ad", SECTION, replace(FACTORED, basis=basis))
    var = anndata.read_h5ad(path).var
    columns = var[[f"from_{name}" for name in ORIGINS]].to_numpy()
    assert basis.shares is not None
    assert np.allclose(columns, basis.shares, atol=1e-6)
    assert np.allclose(columns.sum(axis=1), 1.0, atol=1e-6)
    again = factors.read(path).basis.shares
    assert again is not None
    assert np.allclose(again, basis.shares, atol=1e-5)
    broken = replace(basis, attribution=Attribution(np.full((3, K, K), np.nan)))
    with pytest.raises(DataError, match="finite attribution"):
        factors.write(tmp_path / "broken.h5ad", SECTION, replace(FACTORED, basis=broken))


def test_a_file_without_shares_still_reads(tmp_path: Path) -> None:
    """Files of earlier versions, and of models that do not know: no columns, and shares unknown."""
    path = factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED)
    adata = anndata.read_h5ad(path)
    assert not [name for name in adata.var if name.startswith("from_")]
    assert "attribution" not in adata.uns
    assert factors.read(path).basis.shares is None


def test_the_section_travels_along(tmp_path: Path) -> None:
    """Counts, depths, spots and image come back; genes that were not predicted are summed in one column."""
    kept = factors.section(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert list(kept.genes) == [*BASIS.genes, OTHERS]
    assert np.array_equal(kept.counts[:, :40].toarray(), SECTION.counts[:, CHOSEN].toarray())
    assert np.array_equal(kept.counts.sum(axis=1), SECTION.counts.sum(axis=1))
    measured = log_cp10k(SECTION.counts)[:, CHOSEN].toarray()
    assert np.allclose(log_cp10k(kept.counts)[:, :40].toarray(), measured)
    assert np.array_equal(kept.spots.xy, SECTION.spots.xy)
    assert list(kept.spots.ids) == list(SECTION.spots.ids)
    assert kept.pitch_um == pytest.approx(SECTION.pitch_um)
    assert (kept.name, kept.mpp, kept.platform) == (SECTION.name, SECTION.mpp, SECTION.platform)
    assert kept.slide is not None
    assert SECTION.slide is not None
    assert np.allclose(kept.slide.size_um, SECTION.slide.size_um, rtol=1e-3)


def test_sections_without_image_or_lattice_travel_too(tmp_path: Path) -> None:
    """What a section lacks it lacks afterwards too."""
    bare = replace(SECTION, slide=None, lattice=None)
    kept = factors.section(factors.write(tmp_path / "factors.h5ad", bare, FACTORED))
    assert kept.slide is None
    assert kept.lattice is None


def test_all_genes_leave_no_others(tmp_path: Path) -> None:
    """Where every gene is predicted the section comes back as it was, down to its fingerprint."""
    whole = replace(FACTORED, basis=basis_of(SECTION.genes))
    kept = factors.section(factors.write(tmp_path / "factors.h5ad", replace(SECTION, slide=None), whole))
    assert kept.fingerprint == replace(SECTION, slide=None).fingerprint


def test_scanpy_opens_factors(tmp_path: Path) -> None:
    """An AnnData without X: one multiplication makes a gene, and embeddings of fields are at hand."""
    adata = scanpy.read_h5ad(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert adata.X is None
    assert adata.shape == (len(PLACES), 40)
    gene = str(BASIS.genes[7])
    made = adata.var["offset"][gene] + adata.obsm["factor_scores"] @ adata[:, gene].varm["loadings"][0]
    assert np.allclose(np.maximum(made, 0), FACTORED.gene(gene), atol=1e-5)
    assert list(adata.var["gene_ids"]) == list(SECTION.gene_ids[CHOSEN])
    scanpy.pp.neighbors(adata, use_rep="factor_scores")
    squidpy.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    adata.write_h5ad(tmp_path / "again.h5ad")
    assert np.array_equal(factors.read(tmp_path / "again.h5ad").scores, SCORES)


def test_damaged_files_are_sentences(tmp_path: Path) -> None:
    """Cut off, missing, something else."""
    path = factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED)
    path.write_bytes(path.read_bytes()[:2000])
    for read in (factors.read, factors.section):
        with pytest.raises(DataError, match="truncated"):
            read(path)
        with pytest.raises(UsageError, match=r"no file .*factors\.h5ad"):
            read(tmp_path / "nothing.h5ad")
        anndata.AnnData(np.ones((2, 2))).write_h5ad(tmp_path / "other.h5ad")
        with pytest.raises(DataError, match="Predict again"):
            read(tmp_path / "other.h5ad")


@pytest.mark.parametrize("part", ["scores", "offset"])
def test_nothing_that_is_not_finite_is_written(tmp_path: Path, part: str) -> None:
    """NaN in a field or a loading is refused, and leaves no file."""
    if part == "scores":
        broken = replace(FACTORED, scores=np.where(SCORES > 2, np.nan, SCORES))
    else:
        broken = replace(FACTORED, basis=replace(BASIS, offset=BASIS.offset * np.float32("nan")))
    with pytest.raises(DataError, match=part):
        factors.write(tmp_path / "factors.h5ad", SECTION, broken)
    assert not list(tmp_path.iterdir())


def test_genes_of_another_section_are_refused(tmp_path: Path) -> None:
    """A prediction and a section that do not belong together make no file."""
    strange = replace(BASIS, genes=np.array([f"X{i}" for i in range(40)]))
    with pytest.raises(UsageError, match="X0"):
        factors.write(tmp_path / "factors.h5ad", SECTION, replace(FACTORED, basis=strange))
    assert not list(tmp_path.iterdir())
