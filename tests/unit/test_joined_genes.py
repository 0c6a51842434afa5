"""Genes of sections that call them differently are joined where that is certain, and never by guess."""

from __future__ import annotations

import numpy as np

from histosge.report.joined_genes import JoinedGenes, joined_genes

ERBB2, CD3E = "ENSG00000141736", "ENSG00000198851"
# not in the list of markers
ACTN, OTHER = "ENSG00000072110", "ENSG00000999999"


def joined(*sections: dict[str, str]) -> JoinedGenes:
    """Join sections, given the identifier of each of their genes."""
    genes = [np.array(list(section), dtype=str) for section in sections]
    return joined_genes(genes, [np.array(list(section.values()), dtype=str) for section in sections])


def names(result: JoinedGenes) -> list[list[str]]:
    return [part.tolist() for part in result.names]


def test_identifiers_are_joined_by_symbols_that_a_section_carries() -> None:
    """Symbols beside identifiers in one section name the genes of the others, without their versions."""
    result = joined({f"{ACTN}.7": f"{ACTN}.7", OTHER: OTHER}, {"ACTN1": ACTN, "CD3E": CD3E})
    assert names(result) == [["ACTN1", OTHER], ["ACTN1", "CD3E"]]
    assert result.ids == {"ACTN1": ACTN}
    assert "1 by symbols that a section has beside them." in result.text
    assert "1 of them stand alone" in result.text


def test_identifiers_are_joined_by_the_shipped_list_where_no_section_carries_symbols() -> None:
    """Known markers find symbols of a section without identifiers; other identifiers stay."""
    result = joined({ERBB2: ERBB2, ACTN: ACTN}, {"ERBB2": "ERBB2", "ACTN1": "ACTN1"})
    assert names(result) == [["ERBB2", ACTN], ["ERBB2", "ACTN1"]]
    assert "1 by the list of markers" in result.text


def test_genes_are_never_joined_by_guess() -> None:
    """Symbols of two identifiers, identifiers of two symbols, and a symbol that its own section has, join nothing."""
    for sections in (
        ({ERBB2: ERBB2, CD3E: CD3E}, {"ERBB2": OTHER}),
        ({ACTN: ACTN}, {"ACTN1": ACTN}, {"ACTNX": ACTN}),
        ({ACTN: ACTN}, {"ACTN1": ACTN}, {"ACTN1": OTHER}),
        ({ERBB2: ERBB2, "ERBB2": "ERBB2"}, {"ERBB2": "ERBB2"}),
        ({ERBB2: ERBB2}, {"Erbb2": "Erbb2"}),
    ):
        assert names(joined(*sections)) == [list(section) for section in sections]
    twice = joined({f"{ACTN}.1": "", f"{ACTN}.2": ""}, {"ACTN1": ACTN})
    assert names(twice)[0] == ["ACTN1", f"{ACTN}.2"]


def test_nothing_is_said_where_nothing_had_to_be_joined() -> None:
    """Sections of symbols, or of identifiers alone, also with single genes that have no symbol, have no text."""
    for section in ({ERBB2: ERBB2, ACTN: ACTN}, {"ERBB2": ERBB2, "CD3E": CD3E, ACTN: ACTN}):
        result = joined(section, section)
        assert names(result) == [list(section)] * 2
        assert not result.text
