"""Names of genes: symbols, identifiers, species."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.errors import DataError
from histosge.programs.gene_names import GeneNames, united

HUMAN = ["EPCAM", "CD3E", "MUC2", "KRT8", "KRT18", "VIM", "ACTA2", "PECAM1", "CD68", "MS4A1"]
MOUSE = [name.capitalize() for name in HUMAN]


def test_symbols_tell_the_species_by_their_case() -> None:
    """Upper case is human, capitals alone are of the mouse, and few symbols tell nothing."""
    assert GeneNames.of(HUMAN).species == "human"
    assert GeneNames.of(MOUSE).species == "mouse"
    assert GeneNames.of(HUMAN[:3]).species == ""


def test_identifiers_tell_the_species_before_symbols() -> None:
    """Ensembl identifiers of the mouse make a mouse, whatever the case of the symbols; versions do not matter."""
    ids = [f"ENSMUSG{number:011d}.7" for number in range(10)]
    assert GeneNames.of(HUMAN, ids).species == "mouse"


def test_two_species_in_one_file_are_refused() -> None:
    """A file of human and mouse genes has no species; the message names both."""
    with pytest.raises(DataError, match=r"one species.*10 of (human|mouse) and 10 of (human|mouse)"):
        _ = GeneNames.of([*HUMAN, *MOUSE]).species
    names = [f"GRCh38_{name}" for name in HUMAN] + [f"mm10___{name}" for name in MOUSE]
    with pytest.raises(DataError, match="one species"):
        _ = GeneNames.of(names).species


def test_a_few_genes_of_another_species_are_no_mixture() -> None:
    """One transgene in twenty genes leaves the species as it is."""
    assert GeneNames.of([*HUMAN, *[f"{name}L" for name in HUMAN[:9]], "Gfpx"]).species == "human"


def test_genes_are_matched_by_identifier_then_by_symbol() -> None:
    """Identifiers go first; symbols match without regard to case; genes of other identifiers do not match."""
    bank = GeneNames.of(["A1BG", "NEW", "KRT8"], ["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"])
    asked = GeneNames.of(
        ["a1bg", "OLD", "KRT8", "ENSG00000000003"], ["x", "ENSG00000000002", "ENSG00000000009", "y"]
    )
    assert asked.positions_in(bank).tolist() == [0, 1, -1, 2]


def test_a_symbol_of_two_genes_is_not_matched() -> None:
    """Where a symbol stands for two genes, no one of them is taken."""
    bank = GeneNames.of(["A", "A"], ["ENSG00000000001", "ENSG00000000002"])
    assert GeneNames.of(["A"]).positions_in(bank).tolist() == [-1]


def test_a_file_with_both_names_connects_the_others() -> None:
    """One file has symbols, one identifiers, one both: the genes are the same."""
    both = GeneNames.of(["EPCAM", "CD3E"], ["ENSG00000119888", "ENSG00000198851"])
    names, columns = united([GeneNames.of(["CD3E"]), GeneNames.of(["ENSG00000198851.2"]), both])
    assert len(names) == 2
    assert columns[0][0] == columns[1][0] == columns[2][1]
    assert names.symbols[columns[1][0]] == "CD3E"


def test_the_order_of_files_does_not_matter() -> None:
    """United names come in one order."""
    parts = [GeneNames.of(HUMAN[:6]), GeneNames.of(HUMAN[3:])]
    first, second = united(parts)[0], united(parts[::-1])[0]
    assert np.array_equal(first.symbols, second.symbols)


def test_a_gene_twice_is_refused() -> None:
    """Two columns of one name are refused, unless identifiers tell them apart."""
    with pytest.raises(DataError, match="'EPCAM' twice"):
        united([GeneNames.of(["EPCAM", "CD3E", "EPCAM"])])
    assert len(united([GeneNames.of(["A", "A"], ["ENSG00000000001", "ENSG00000000002"])])[0]) == 2
