"""A factored prediction of the synthetic section, shared by several tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from histosge.datasets import synthetic
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.locations import upsampled

SECTION = synthetic(columns=8, rows=8, genes=60).section
LOCATIONS = upsampled(SECTION, 4)
RNG = np.random.default_rng(1)
# some of the genes, in another order than the section's
PANEL = RNG.permutation(60)[:40]
K = 5


def basis_of(genes: np.ndarray) -> Basis:
    """Return a random basis without attribution and r_loo."""
    g = len(genes)
    draw = RNG.normal(size=(g, K)).astype(np.float32)
    offset, noise_sd, calibration_factor = (RNG.uniform(0.2, 1.5, g).astype(np.float32) for _ in range(3))
    return Basis(genes, offset, draw, noise_sd, calibration_factor, np.full(g, np.nan, dtype=np.float32))


def attributed(basis: Basis) -> Basis:
    """Return the basis with an attribution of its factors to three components."""
    components = np.random.default_rng(2).normal(size=(3, 80, K)) * np.array([1.0, 0.7, 0.4])[:, None, None]
    return replace(basis, attribution=Attribution.of(components))


BASIS = basis_of(SECTION.genes[PANEL])
SCORES = RNG.normal(size=(len(LOCATIONS), K)).astype(np.float32)
SCORE_SD = RNG.uniform(0.01, 1.0, (len(LOCATIONS), K)).astype(np.float32)
PROVENANCE = {"seed": 3, "nothing": None, "nested": {"a/b": 1.5}}
FACTORED = FactoredPrediction(LOCATIONS, BASIS, SCORES, SCORE_SD, PROVENANCE)
