"""Synthetic sections that can be fitted together, shared by the tests of section groups and of their fits."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from histosge._runtime.types import Array
from histosge.datasets.synthetic import Synthetic, synthetic
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots
from histosge.section.section import Section


@lru_cache
def tissue(seed: int, lattice: str = "hexagonal") -> Synthetic:
    """Return a tissue whose genes depend on the same structures as those of every other seed, with other loadings."""
    return synthetic(columns=12, rows=14, genes=60, seed=seed, lattice=lattice)  # type: ignore[arg-type]


def with_genes(section: Section, columns: Array) -> Section:
    """Return the section with some genes, in this order."""
    return replace(
        section,
        counts=section.counts[:, columns],
        genes=section.genes[columns],
        gene_ids=section.gene_ids[columns],
    )


def at_positions(section: Section) -> Inputs:
    """Return the inputs of the spots without an image."""
    return Inputs(at_spots(section))


FIRST, SECOND = tissue(0).section, tissue(1).section
EVERY_GENE = np.arange(60)
