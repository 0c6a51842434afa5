"""A synthetic tissue with training and test spots, shared by the tests of cokriging."""

from __future__ import annotations

import numpy as np

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.geometry.points import Points
from histosge.models.cokriging.image_features import FeatureTransform, ImageFeatures
from histosge.models.cokriging.kernels import KernelInputs
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

TISSUE = synthetic(columns=14, rows=14, genes=36, seed=2)
SECTION = TISSUE.section
N = len(SECTION)
XY = SECTION.spots.xy
ONE_SECTION = np.zeros(N, dtype=np.intp)
EXPRESSION = log_cp10k(SECTION.counts).toarray()
DEPTH = np.asarray(SECTION.counts.sum(axis=1)).ravel()
# features of an image: compartments and nuclei with noise, and two columns of noise alone
RNG = np.random.default_rng(0)
STRUCTURES = np.column_stack([wave(XY) for wave in (*TISSUE.compartments, TISSUE.nuclei)])
FEATURES = np.column_stack([STRUCTURES + 0.1 * RNG.normal(size=STRUCTURES.shape), RNG.normal(size=(N, 2))])


def samples_of(
    xy: Array = XY, expression: Array = EXPRESSION, features: Array | None = FEATURES, depth: Array = DEPTH
) -> Samples:
    """Return spots at any positions, on no lattice."""
    n, genes = expression.shape
    rows, yes = np.arange(n), np.ones(n, dtype=bool)
    points = Points(xy[:n], rows.astype(str), 55.0)
    locations = Locations(points, np.full((n, 2), np.nan), rows, np.zeros(n, dtype=np.intp), yes, yes)
    inputs = Inputs(locations, features=None if features is None else features[:n])
    return Samples(inputs, expression, np.array([f"g{gene}" for gene in range(genes)]), depth[:n])


def transformed(
    features: Array = FEATURES, factors: Array = EXPRESSION[:, :6]
) -> tuple[FeatureTransform, ImageFeatures]:
    """Return the fitted transform of features, and the image features of the spots."""
    return FeatureTransform.fit(features, ONE_SECTION, XY, pitch_um=100.0, factors=factors)


def kernel_inputs(diameter_um: float, *, image: bool = True) -> KernelInputs:
    """Return all spots as the covariance compares them."""
    return KernelInputs(XY, ONE_SECTION, diameter_um, (transformed()[1],) if image else ())


SAMPLES = samples_of()
ORDER = np.random.default_rng(1).permutation(N)
TRAINING, TEST = np.sort(ORDER[::2]), np.sort(ORDER[1::2])
