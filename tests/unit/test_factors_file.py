"""``factors.h5ad``: what is written is read again, other tools open it, damage is reported in a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
import scanpy
import squidpy
from factored_samples import (
    BASIS,
    FACTORED,
    LOCATIONS,
    PANEL,
    PROVENANCE,
    SCORE_SD,
    SCORES,
    SECTION,
    K,
    attributed,
    basis_of,
)

from histosge.errors import DataError, UsageError
from histosge.io.layout.measured_section import OTHERS
from histosge.io.writers import factors, h5ad
from histosge.prediction.attribution import COMPONENTS, Attribution
from histosge.section.expression import log_cp10k


def test_a_prediction_is_read_again(tmp_path: Path) -> None:
    """Scores and loadings are the same bits, standard deviations agree to a thousandth; metadata are complete."""
    prediction = factors.read(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert np.array_equal(prediction.scores, SCORES)
    for name in ("genes", "offset", "loadings", "noise_sd", "calibration_factor"):
        assert np.array_equal(getattr(prediction.basis, name), getattr(BASIS, name)), name
    assert np.isnan(prediction.basis.r_loo).all()
    assert prediction.score_sd is not None
    assert np.allclose(prediction.score_sd, SCORE_SD, rtol=1e-3)
    assert prediction.provenance == PROVENANCE == h5ad.provenance(tmp_path / "factors.h5ad")
    for name in ("lattice_xy", "parent", "subspot", "observed", "in_tissue"):
        assert np.array_equal(getattr(prediction.locations, name), getattr(LOCATIONS, name)), name
    assert np.array_equal(prediction.locations.xy, LOCATIONS.xy)
    assert prediction.locations.points.diameter_um == LOCATIONS.points.diameter_um


def test_the_attribution_is_read_again(tmp_path: Path) -> None:
    """The file has one column per component, and the matrices that the columns follow from."""
    basis = attributed(BASIS)
    path = factors.write(tmp_path / "factors.h5ad", SECTION, replace(FACTORED, basis=basis))
    var = anndata.read_h5ad(path).var
    columns = var[[f"from_{name}" for name in COMPONENTS]].to_numpy()
    assert basis.shares is not None
    assert np.allclose(columns, basis.shares, atol=1e-6)
    assert np.allclose(columns.sum(axis=1), 1.0, atol=1e-6)
    again = factors.read(path).basis.shares
    assert again is not None
    assert np.allclose(again, basis.shares, atol=1e-5)
    broken = replace(basis, attribution=Attribution(np.full((3, K, K), np.nan)))
    with pytest.raises(DataError, match="finite attribution"):
        factors.write(tmp_path / "broken.h5ad", SECTION, replace(FACTORED, basis=broken))


def test_an_unknown_attribution_stays_unknown(tmp_path: Path) -> None:
    """Without an attribution the file has no columns of it, and shares are unknown."""
    path = factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED)
    adata = anndata.read_h5ad(path)
    assert not [name for name in adata.var if name.startswith("from_")]
    assert "attribution" not in adata.uns
    assert factors.read(path).basis.shares is None


def test_the_section_is_read_again(tmp_path: Path) -> None:
    """Counts, depths, spots and image are the same; genes that were not predicted are summed in one column."""
    held = factors.section(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert list(held.genes) == [*BASIS.genes, OTHERS]
    assert np.array_equal(held.counts[:, :40].toarray(), SECTION.counts[:, PANEL].toarray())
    assert np.array_equal(held.counts.sum(axis=1), SECTION.counts.sum(axis=1))
    measured = log_cp10k(SECTION.counts)[:, PANEL].toarray()
    assert np.allclose(log_cp10k(held.counts)[:, :40].toarray(), measured)
    assert np.array_equal(held.spots.xy, SECTION.spots.xy)
    assert list(held.spots.ids) == list(SECTION.spots.ids)
    assert held.pitch_um == pytest.approx(SECTION.pitch_um)
    assert (held.name, held.mpp, held.platform) == (SECTION.name, SECTION.mpp, SECTION.platform)
    assert held.slide is not None
    assert SECTION.slide is not None
    assert np.allclose(held.slide.size_um, SECTION.slide.size_um, rtol=1e-3)


def test_sections_without_image_or_lattice_are_read_again(tmp_path: Path) -> None:
    """A section without image and lattice has none afterwards."""
    bare = replace(SECTION, slide=None, lattice=None)
    held = factors.section(factors.write(tmp_path / "factors.h5ad", bare, FACTORED))
    assert held.slide is None
    assert held.lattice is None


def test_a_section_of_all_genes_keeps_its_fingerprint(tmp_path: Path) -> None:
    """Where every gene is predicted, the section has the same fingerprint afterwards."""
    whole = replace(FACTORED, basis=basis_of(SECTION.genes))
    held = factors.section(factors.write(tmp_path / "factors.h5ad", replace(SECTION, slide=None), whole))
    assert held.fingerprint == replace(SECTION, slide=None).fingerprint


def test_scanpy_opens_factors(tmp_path: Path) -> None:
    """The file is an AnnData without X; one product gives a gene, and factor scores are an embedding."""
    adata = scanpy.read_h5ad(factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED))
    assert adata.X is None
    assert adata.shape == (len(LOCATIONS), 40)
    gene = str(BASIS.genes[7])
    product = adata.var["offset"][gene] + adata.obsm["factor_scores"] @ adata[:, gene].varm["loadings"][0]
    assert np.allclose(np.maximum(product, 0), FACTORED.gene(gene), atol=1e-5)
    assert list(adata.var["gene_ids"]) == list(SECTION.gene_ids[PANEL])
    scanpy.pp.neighbors(adata, use_rep="factor_scores")
    squidpy.gr.spatial_neighbors(adata, n_neighs=6, coord_type="generic")
    adata.write_h5ad(tmp_path / "again.h5ad")
    assert np.array_equal(factors.read(tmp_path / "again.h5ad").scores, SCORES)


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Truncated files, missing files and other files are refused."""
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
def test_values_that_are_not_finite_are_not_written(tmp_path: Path, part: str) -> None:
    """NaN in a score or an offset is refused, and leaves no file."""
    if part == "scores":
        broken = replace(FACTORED, scores=np.where(SCORES > 2, np.nan, SCORES))
    else:
        broken = replace(FACTORED, basis=replace(BASIS, offset=BASIS.offset * np.float32("nan")))
    with pytest.raises(DataError, match=part):
        factors.write(tmp_path / "factors.h5ad", SECTION, broken)
    assert not list(tmp_path.iterdir())


def test_genes_of_another_section_are_refused(tmp_path: Path) -> None:
    """A prediction of genes that the section does not have is refused, and leaves no file."""
    strange = replace(BASIS, genes=np.array([f"X{i}" for i in range(40)]))
    with pytest.raises(UsageError, match="X0"):
        factors.write(tmp_path / "factors.h5ad", SECTION, replace(FACTORED, basis=strange))
    assert not list(tmp_path.iterdir())
