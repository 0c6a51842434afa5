"""Which genes are written is a question apart from which are fitted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest

import histosge as hs
from histosge.errors import UsageError
from histosge.report.contents import collect
from histosge.report.page_data import page_data
from histosge.section.genes import select
from histosge.section.marker_genes import marker_genes, symbols_of
from histosge.section.written_genes import WrittenGenes

NAMES = np.array([*(f"GENE{at}" for at in range(27)), "ERBB2", "EPCAM", "CD3E"])
ERBB2 = "ENSG00000141736"


def section_of(names: np.ndarray) -> hs.Section:
    """Return a section of 30 genes, three of which are markers."""
    section = hs.synthetic(columns=9, rows=9, genes=30).section
    return replace(section, genes=names, gene_ids=names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that fits ten genes and writes the default ones."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run(folder, section_of(NAMES))
    return folder


def run(folder: Path, section: hs.Section, **outputs: object) -> hs.RunResult:
    panel = hs.Recipe("cokriging", "positions", genes=[str(name) for name in section.genes[10:20]])
    target = hs.Target(upsample=2)
    return hs.run(section, panel, target=target, out=folder, outputs=hs.Outputs(figures=False, **outputs))


def test_naming_genes_changes_no_bit_of_any_other_gene(folder: Path, tmp_path: Path) -> None:
    """Means and standard deviations are equal to the bit, whatever else is written."""
    before = anndata.read_h5ad(folder / "prediction.h5ad")
    for choice in ("fitted", "GENE20", "all"):
        result = run(tmp_path / choice, section_of(NAMES), write_genes=choice)
        after = anndata.read_h5ad(result.prediction)
        common = before.var_names.intersection(after.var_names)
        assert len(common) >= 10
        assert np.array_equal(before[:, common].X, after[:, common].X)
        assert np.array_equal(before[:, common].layers["sd"], after[:, common].layers["sd"])


def test_by_default_markers_are_written_that_were_not_fitted(folder: Path) -> None:
    """A marker with counts is in the file, marked as not fitted, and predicted as the factors predict it."""
    adata = anndata.read_h5ad(folder / "prediction.h5ad")
    assert {"ERBB2", "EPCAM", "CD3E"} <= set(adata.var_names)
    assert adata.var["fitted"].sum() == 10
    assert not adata.var.loc["ERBB2", "fitted"]
    exported = folder.parent / "one.h5ad"
    hs.export(folder, exported, genes="ERBB2")
    # factors.h5ad holds scores in single precision
    np.testing.assert_allclose(anndata.read_h5ad(exported).X[:, 0], adata[:, "ERBB2"].X[:, 0], rtol=1e-5)


def test_genes_named_or_shown_are_written(tmp_path: Path) -> None:
    """A name is written beside the default genes, and so is a gene that is drawn."""
    result = run(tmp_path / "run", section_of(NAMES), write_genes="GENE20", show="GENE21")
    assert {"GENE20", "GENE21", "ERBB2"} <= set(result.genes)
    assert result.as_dict()["genes_written"]["named"] == 2
    assert result.genes_shown == ("GENE21",)


def test_a_marker_is_found_in_every_file(tmp_path: Path) -> None:
    """ERBB2, which no figure shows, is in GeoJSON too; its alias is answered with its name; genes named are enough."""
    result = run(tmp_path / "run", section_of(NAMES), also="geojson")
    assert "ERBB2" not in result.genes_shown
    adata = anndata.read_h5ad(result.prediction)
    assert hs.gene(adata, "ERBB2").shape == (adata.n_obs,)
    with pytest.raises(UsageError, match="another name of ERBB2"):
        hs.gene(adata, "HER2")
    (feature, *_) = json.loads((result.out / "prediction.geojson").read_text())["features"]
    held = feature["properties"]["measurements"]
    assert {"ERBB2", "EPCAM", "CD3E", *result.genes_shown} <= {name.split(" ")[0] for name in held}
    row = adata.obs_names.get_loc(feature["properties"].get("name", feature["id"]))
    assert held["ERBB2"] == pytest.approx(float(adata[:, "ERBB2"].X[row, 0]), abs=1e-3)
    named = run(tmp_path / "named", section_of(NAMES), also="geojson", show="GENE21")
    (feature, *_) = json.loads((named.out / "prediction.geojson").read_text())["features"]
    assert not any("ERBB2" in name for name in feature["properties"]["measurements"])


def test_genes_of_no_counts_are_no_default(tmp_path: Path) -> None:
    """A marker that was never counted is left out, unless it is named."""
    section = section_of(NAMES)
    counts = section.counts.tolil()
    counts[:, 27] = 0
    section = replace(section, counts=counts.tocsr())
    assert "ERBB2" not in run(tmp_path / "default", section).genes
    assert "ERBB2" in run(tmp_path / "named", section, write_genes="ERBB2").genes


def test_unknown_genes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """A name that is no gene, and a gene that the model cannot predict, end in a sentence."""
    with pytest.raises(UsageError, match="'ERBB3' is not among the 30 genes of section"):
        run(tmp_path / "run", section_of(NAMES), write_genes="ERBB3")
    section, outputs = section_of(NAMES), hs.Outputs(write_genes="fitted,ERBB2")
    recipe = hs.Recipe("idw", genes=[f"GENE{at}" for at in range(5)])
    with pytest.raises(UsageError, match=r"'ERBB2' is not among the 5 genes fitted.*add it to `genes`"):
        hs.run(section, recipe, out=tmp_path / "run", outputs=outputs)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="Expected `write_genes`"):
        hs.Outputs(write_genes="hvg:100")
    with pytest.raises(UsageError, match="got all and fitted"):
        hs.Outputs(write_genes="all,fitted")


def test_a_choice_as_text_is_the_same_choice(tmp_path: Path) -> None:
    """The text of a choice means the choice, for words, names, both and files."""
    names = tmp_path / "names.txt"
    names.write_text("ERBB2\nGENE1\n")
    for text in ("default", "fitted", "all", "ERBB2,GENE1", "fitted,ERBB2", str(names)):
        choice = WrittenGenes.parse(text)
        assert WrittenGenes.parse(str(choice)) == choice


def test_few_named_genes_are_said_to_carry_the_fit(folder: Path) -> None:
    """Ten genes fitted of thirty are named in a message, which names the other option."""
    messages = json.loads((folder / "run.json").read_text())["messages"]
    assert any("10 genes" in message["text"] and "`write_genes`" in message["text"] for message in messages)


def test_genes_called_by_identifiers_have_symbols(tmp_path: Path) -> None:
    """A marker can be named by its symbol where the section has identifiers, and the file has the symbol."""
    names = np.array([ERBB2, *(f"ENSG{at:011d}" for at in range(29))])
    section = section_of(names)
    assert select(section, "ERBB2").names.tolist() == [ERBB2]
    result = run(tmp_path / "run", section, show="ERBB2")
    assert result.genes_shown == (ERBB2,)
    assert anndata.read_h5ad(result.prediction).var.loc[ERBB2, "symbol"] == "ERBB2"
    page = page_data(collect(result.out), first="ERBB2").about
    assert page["first"] == f"ERBB2 {ERBB2}"
    assert page["first"] in page["genes"]
    hs.export(result.out, tmp_path / "one.h5ad", genes="ERBB2")
    assert anndata.read_h5ad(tmp_path / "one.h5ad").var_names.tolist() == [ERBB2]


def test_the_shipped_list_is_sound() -> None:
    """Symbols and identifiers stand once, identifiers are of their species, and sources are in the bibliography."""
    listed = marker_genes()
    references = (Path(hs.__file__).parent / "workflow" / "references.bib").read_text(encoding="utf-8")
    assert all(re.search(rf"@\w+\{{{gene.source},", references) for gene in listed)
    for names in zip(
        *((gene.human, gene.human_id, gene.mouse, gene.mouse_id) for gene in listed), strict=True
    ):
        known = [name for name in names if name]
        assert len(known) == len(set(known)) > 250
    assert all(re.fullmatch(r"(ENSG\d{11})?", gene.human_id) for gene in listed)
    assert all(re.fullmatch(r"(ENSMUSG\d{11})?", gene.mouse_id) for gene in listed)
    # identifiers that a reader can look up: those of three sections' readme
    known = ("ENSG00000183036", "ENSG00000168314", "ENSG00000197971", "ENSG00000244734", "ENSG00000170323")
    assert symbols_of(known, known).tolist() == ["PCP4", "MOBP", "MBP", "HBB", "FABP4"]


def test_any_gene_is_computed_from_the_factors_of_a_file(folder: Path) -> None:
    """The value of a gene from factors.h5ad is that of prediction.h5ad; unknown genes and other data are refused."""
    factors, prediction = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("factors", "prediction"))
    for adata in (factors, prediction):
        np.testing.assert_allclose(hs.gene(adata, "ERBB2"), prediction[:, "ERBB2"].X[:, 0], rtol=1e-4)
    further = factors.var_names.difference(prediction.var_names)
    assert len(further) > 0
    assert len(hs.gene(factors, str(further[0]))) == len(factors)
    with pytest.raises(UsageError, match=r"'ERBB' is not among the 30 genes of this AnnData.* Did you mean"):
        hs.gene(factors, "ERBB")
    with pytest.raises(UsageError, match="Expected factors"):
        hs.gene(anndata.AnnData(np.zeros((2, 2))), "ERBB2")
