"""Genes are chosen by number, as all, by names or by a file, and unknown names are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import histosge
from histosge.datasets import synthetic
from histosge.errors import DataError, HistosgeWarning, UsageError
from histosge.section.genes import GeneChoice, select
from histosge.section.target import Target

SECTION = synthetic(columns=8, rows=8, genes=12).section
NAMES = SECTION.genes[[5, 2]].tolist()


@pytest.mark.parametrize(
    "genes", [NAMES, tuple(NAMES), ",".join(NAMES), f" {NAMES[0]} , {NAMES[1]},", np.array(NAMES)]
)
def test_names_are_accepted_as_a_list_and_as_text(genes: object) -> None:
    """A list, a tuple, an array and a comma list of names choose the same genes, in the section's order."""
    panel = select(SECTION, genes)
    assert panel.columns.tolist() == [2, 5]
    assert panel.spec == ",".join(NAMES)


def test_a_file_lists_its_missing_names(tmp_path: Path) -> None:
    """Names in a file that the section lacks are left out and reported; a table's first column is read."""
    path = tmp_path / "genes.csv"
    path.write_text(f"{NAMES[0]},1\nNOTHERE,2\n{NAMES[1]},3\n")
    for genes in (path, str(path)):
        panel = select(SECTION, genes)
        assert panel.columns.tolist() == [2, 5]
        assert panel.missing == ("NOTHERE",)
        (message,) = panel.messages
        assert "1 of the 3 names" in message.text
        assert "NOTHERE" in message.text
    assert select(SECTION, NAMES).messages == ()


def test_all_and_variable_genes() -> None:
    """``all`` chooses every gene with counts, ``hvg:N`` the N most variable."""
    assert len(select(SECTION, "all")) == 12
    assert len(select(SECTION, "hvg:4")) == 4
    assert select(SECTION).spec == "hvg:1000"


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        ("hvg:many", "hvg:1000"),
        ("hvg:0", "hvg:1000"),
        ("hvg:5:", "hvg:N:S"),
        ("hvg:5:-1", "hvg:N:S"),
        ("hvg:5:1:1", "hvg:N:S"),
        ("", "got none"),
        ([], "got none"),
        ("missing.txt", "there is no file 'missing.txt'"),
        ("folder/genes", "there is no file"),
        (
            "hgv:20",
            "'hgv:20' is not among the 12 genes of section .* Did you mean hvg:20, the most variable genes",
        ),
        ("HVG:20:5", "Did you mean hvg:20:5"),
        (
            "EPCAMM",
            "'EPCAMM' is not among the 12 genes .* The first of them are TUMOUR1, .*, …. .*read.SECTION..genes",
        ),
        ("zone1", "Did you mean ZONE1"),
        (["ZONE1", "ZONE77"], "'ZONE77' is not among the 12 genes of section .* Did you mean ZONE"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(genes: object, message: str) -> None:
    """Malformed numbers, no names, missing files and unknown names are named in the message."""
    with pytest.raises(UsageError, match=message):
        select(SECTION, genes)


def test_variable_genes_have_counts_in_enough_spots() -> None:
    """``hvg:N:S`` takes genes with counts in S spots, in proportion where half may be used; 0 takes out none."""
    counts = sparse.csr_matrix((np.arange(64)[:, None] < [1, 2, 5, 30, 60]) * 3)
    section = synthetic(columns=8, rows=8, genes=12).section
    section = replace(section, counts=counts, genes=np.array(list("ABCDE")), gene_ids=np.array(list("ABCDE")))

    def chosen(genes: str, rows: np.ndarray | None = None) -> str:
        return "".join(select(section, genes, rows=rows).names)

    assert chosen("hvg:5:0") == chosen("hvg:5:1") == "ABCDE"
    assert chosen("hvg:5") == "CDE"
    assert chosen("hvg:5:50") == "E"
    # 16 of 32 spots
    assert chosen("hvg:5:32", np.arange(0, 64, 2)) == "E"
    with pytest.raises(DataError, match="at least 64 spots"):
        chosen("hvg:5:64")


def test_a_file_without_any_gene_is_refused(tmp_path: Path) -> None:
    """The message gives the number of names and a near miss."""
    path = tmp_path / "genes.txt"
    path.write_text("ZONE99\nOTHER\n")
    with pytest.raises(UsageError, match=r"None of the 2 names .* Did you mean ZONE"):
        select(SECTION, path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    """A file saved by a spreadsheet begins with a byte-order mark; its first gene is known."""
    path = tmp_path / "genes.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8-sig")
    assert not select(SECTION, path).missing


def test_the_text_of_a_choice_means_the_same_choice(tmp_path: Path) -> None:
    """A choice written as text and parsed again is the same one; making the text reads no file."""
    path = tmp_path / "genes.txt"
    path.write_text("\n".join(NAMES))
    for genes in ("hvg:7", "hvg:7:0", "hvg:7:50", "all", NAMES, path):
        choice = GeneChoice.parse(genes)
        assert GeneChoice.parse(str(choice)) == choice
        assert GeneChoice.text(genes) == str(choice)
    assert GeneChoice.text("missing.txt") == "missing.txt"


def test_a_choice_among_predicted_genes() -> None:
    """Names keep the user's order; ``all`` is all; a number needs counts."""
    available = ["A", "B", "C"]
    assert GeneChoice.parse("C,A").among(available, "the run") == ("C", "A")
    assert GeneChoice.parse("all").among(available, "the run") == ("A", "B", "C")
    with pytest.raises(UsageError, match="'D' is not among the 3 genes of the run"):
        GeneChoice.parse("D").among(available, "the run")
    with pytest.raises(UsageError, match="chosen at the fit"):
        GeneChoice.parse("hvg:2").among(available, "the run")


def test_missing_names_are_reported_by_fit_and_run(tmp_path: Path) -> None:
    """``fit`` warns, and the result of a run lists the names that are no genes."""
    path = tmp_path / "genes.txt"
    path.write_text(f"{NAMES[0]}\n{NAMES[1]}\nNOTHERE\n")
    recipe = histosge.Recipe("mean", genes=path)
    with pytest.warns(HistosgeWarning, match="NOTHERE"):
        result = histosge.run(SECTION, recipe, target=Target(upsample=1), out=tmp_path / "out")
    assert any("NOTHERE" in message.text for message in result.messages)
