"""Sections that are fitted together: common genes, the panel, gathered samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from auxiliary_samples import EVERY_GENE, FIRST, SECOND, at_positions, with_genes

from histosge.errors import UsageError
from histosge.section.inputs import concatenated
from histosge.section.multi_section import SectionGroup


def test_genes_are_matched_by_name_in_any_order() -> None:
    """The column of each common gene holds that gene's counts in every section; other genes are counted."""
    order = np.random.default_rng(0).permutation(60)[:50]
    group = SectionGroup.of(with_genes(FIRST, EVERY_GENE[5:]), [with_genes(SECOND, order)])
    assert set(group.genes) == set(FIRST.genes[5:]) & set(SECOND.genes[order])
    for section, columns in zip(group.sections, group.columns, strict=True):
        assert list(section.genes[columns]) == list(group.genes)
    (summary,) = group.auxiliary_summary()
    assert summary.genes == len(group.genes)
    assert summary.missing == 55 - len(group.genes)
    assert summary.further == 50 - len(group.genes)


def test_the_order_of_an_auxiliary_sections_genes_changes_nothing() -> None:
    """The samples of two sections are the same bits when the genes of the second are shuffled."""
    inputs = concatenated([at_positions(FIRST), at_positions(SECOND)])
    samples = []
    for second in (SECOND, with_genes(SECOND, np.random.default_rng(1).permutation(60))):
        group = SectionGroup.of(FIRST, [second])
        samples.append(group.gather(group.choose("hvg:20"), inputs))
    assert list(samples[0].genes) == list(samples[1].genes)
    assert np.array_equal(samples[0].expression, samples[1].expression)


def test_identifiers_match_where_names_do_not() -> None:
    """A section with Ensembl ids for names is matched by the ids of the first; without ids it is refused."""
    ids = np.array([f"ENSG{number:011d}" for number in range(60)])
    second = replace(SECOND, genes=ids, gene_ids=ids)
    group = SectionGroup.of(replace(FIRST, gene_ids=ids), [second])
    assert list(group.genes) == list(FIRST.genes)
    with pytest.raises(UsageError, match="no gene in common") as caught:
        SectionGroup.of(FIRST, [second])
    assert "synthetic" in str(caught.value)


def test_genes_are_chosen_on_the_first_section() -> None:
    """The panel is that of the first section's training spots, among the common genes."""
    rows = np.arange(0, len(FIRST), 2)
    panel = SectionGroup.of(FIRST, [with_genes(SECOND, EVERY_GENE[10:])]).choose("hvg:15", rows=rows)
    alone = SectionGroup.of(with_genes(FIRST, EVERY_GENE[10:])).choose("hvg:15", rows=rows)
    assert list(panel.names) == list(alone.names)
    assert list(FIRST.genes[panel.columns]) == list(panel.names)
