"""The same seed gives the same bits, whatever the order of spots and genes in the input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import histosge as hs
from histosge.evaluation.study import Study
from histosge.io.readers.anndata import from_anndata
from histosge.models import saving
from histosge.section.section import Section

SECTION = hs.synthetic(columns=8, rows=9, genes=20).section
NETWORK = {"epochs": 2, "crop_px": None, "batch": 16, "hidden": (8,)}


def reordered(section: Section) -> Section:
    """The section with its genes in another order."""
    columns = np.random.default_rng(3).permutation(len(section.genes))
    return replace(
        section,
        counts=section.counts[:, columns],
        genes=section.genes[columns],
        gene_ids=section.gene_ids[columns],
    )


def table(section: Section) -> ad.AnnData:
    """The section as an AnnData without an image."""
    obs = pd.DataFrame(index=section.spots.ids.astype(str))
    obs["array_col"], obs["array_row"] = section.lattice_xy.T.astype(int)
    adata = ad.AnnData(
        section.counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=section.genes.astype(str))
    )
    adata.obsm["spatial"] = section.spots.xy / section.mpp
    return adata


@pytest.mark.parametrize(
    ("model", "options"), [("cokriging", {}), ("pca-ridge", {}), ("feedforward", NETWORK)]
)
@pytest.mark.parametrize("genes", ["all", "hvg:7"])
def test_the_order_of_genes_changes_no_bit(model: str, options: dict[str, Any], genes: str) -> None:
    """Genes are predicted in the order of the section, and each has the same bits."""
    means = []
    for section in (SECTION, reordered(SECTION)):
        fit = hs.fit(section, hs.Recipe(model, genes=genes, options=options))
        prediction = hs.predict(fit, section, hs.upsampled(section, 2))
        assert prediction.genes.tolist() == [gene for gene in section.genes if gene in set(prediction.genes)]
        means.append(prediction.mean[:, np.argsort(prediction.genes)])
    assert np.array_equal(*means)


def test_the_order_of_rows_changes_no_bit() -> None:
    """Spots are in the order of their names once they are read, and so are random splits of them."""
    adata = table(SECTION)
    shuffled = adata[np.random.default_rng(5).permutation(len(adata))].copy()
    first, second = (from_anndata(item) for item in (adata, shuffled))
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.spots.ids, np.sort(SECTION.spots.ids))
    assert np.array_equal(first.genes, SECTION.genes)


@pytest.mark.parametrize("model", ["nearest", "idw", "cubic"])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_the_order_of_rows_chooses_no_neighbour(model: str, auxiliary: bool) -> None:
    """A section in another order, made in memory, gives the same bits where spots are equally far; so do joint fits."""
    others = [hs.synthetic(columns=8, rows=9, genes=20, seed=1).section] if auxiliary else []
    means = []
    for seed in (None, 5):
        section, *further = (shuffled(item, seed) for item in (SECTION, *others))
        fit = hs.fit(section, hs.Recipe(model, genes="all"), auxiliary=further)
        locations = hs.upsampled(section, 4)
        means.append(hs.predict(fit, section, locations).mean[np.argsort(locations.points.ids)])
    assert np.array_equal(*means)


def shuffled(section: Section, seed: int | None) -> Section:
    """The section with its spots in another order; ``None`` keeps it."""
    if seed is None:
        return section
    return section.take(np.random.default_rng(seed).permutation(len(section)))


@pytest.mark.parametrize("word", ["random:0.5", "published"])
def test_a_split_is_of_spots_and_not_of_rows(word: str) -> None:
    """A section in another order, made in memory, has the same training spots."""
    shuffled = SECTION.take(np.random.default_rng(5).permutation(len(SECTION)))
    spots = [set(s.spots.ids[Study.of(s, word, genes="all").training]) for s in (SECTION, shuffled)]
    assert spots[0] == spots[1]


def test_a_saved_fit_keeps_the_order_of_its_genes(tmp_path: Path) -> None:
    """Also where it was fitted in another one: values stay with their names."""
    fit = hs.fit(SECTION, hs.Recipe("ridge", genes="all"), folder=tmp_path)
    _, predictor = saving.load(tmp_path / fit.key)
    assert predictor.genes.tolist() == SECTION.genes.tolist()
    loaded = hs.load_fit(SECTION, tmp_path)
    first, second = (hs.predict(item, SECTION, hs.at_spots(SECTION)) for item in (fit, loaded))
    assert first.genes.tolist() == second.genes.tolist()
    assert np.array_equal(first.mean, second.mean)
