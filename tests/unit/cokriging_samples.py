"""A synthetic tissue, half of its spots to fit and half to predict: what the tests of cokriging share."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.geometry.points import Points
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

RNG = np.random.default_rng(0)
TISSUE = synthetic(columns=14, rows=14, genes=36, seed=2)
SECTION = TISSUE.section
N = len(SECTION)
XY = SECTION.spots.xy
EXPRESSION = log_cp10k(SECTION.counts).toarray()
DEPTH = np.asarray(SECTION.counts.sum(axis=1)).ravel()
# what an image would show: compartments and nuclei, seen through noise, and columns that mean nothing
SEEN = np.column_stack([wave(XY) for wave in (*TISSUE.compartments, TISSUE.nuclei)])
FEATURES = np.column_stack([SEEN + 0.1 * RNG.normal(size=SEEN.shape), RNG.normal(size=(N, 2))])


def samples_of(
    xy: Array = XY, expression: Array = EXPRESSION, features: Array | None = FEATURES, depth: Array = DEPTH
) -> Samples:
    """Spots wherever they are, on no lattice."""
    n, genes = expression.shape
    whole, yes = np.arange(n), np.ones(n, dtype=bool)
    points = Points(xy[:n], whole.astype(str), 55.0)
    places = Locations(points, np.full((n, 2), np.nan), whole, np.zeros(n, dtype=np.intp), yes, yes)
    seen = None if features is None else features[:n]
    names = np.array([f"g{gene}" for gene in range(genes)])
    return Samples(Inputs(places, features=seen), expression, names, depth[:n])


SAMPLES = samples_of()
ORDER = np.random.default_rng(1).permutation(N)
KEPT, OUT = np.sort(ORDER[::2]), np.sort(ORDER[1::2])
