"""Properties that hold for any data."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from histosge._runtime.hashing import fingerprint
from histosge.geometry.lattice import Lattice
from histosge.geometry.upsampling import offsets
from histosge.models.deep.batches import windows
from histosge.models.scaling import Columns
from histosge.section import splits
from histosge.section.expression import depth, log_cp10k
from histosge.section.variable_genes import highly_variable

counts_matrices = st.integers(0, 2**32 - 1).map(
    lambda seed: sparse.csr_matrix(
        np.random.default_rng(seed).poisson(np.random.default_rng(seed).gamma(0.5, 3.0, (20, 15)))
    ).astype(np.float64)
)


@settings(max_examples=40, deadline=None)
@given(counts=counts_matrices, factor=st.integers(2, 9))
def test_expression_does_not_depend_on_depth(counts: sparse.csr_matrix, factor: int) -> None:
    """Sequencing a spot deeper in proportion changes nothing; totals of CP10k are ten thousand."""
    values = log_cp10k(counts).toarray()
    assert np.allclose(log_cp10k(counts * factor).toarray(), values)
    totals = np.expm1(values).sum(axis=1)
    assert np.allclose(totals[depth(counts) > 0], 1e4)
    assert (values >= 0).all()


@settings(max_examples=40, deadline=None)
@given(counts=counts_matrices, seed=st.integers(0, 99))
def test_columns_of_the_expression_are_in_any_order(counts: sparse.csr_matrix, seed: int) -> None:
    """Some columns of the expression are those columns of all of it."""
    columns = np.random.default_rng(seed).permutation(15)[:6]
    assert np.allclose(log_cp10k(counts, columns=columns).toarray(), log_cp10k(counts).toarray()[:, columns])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99))
def test_variable_genes_do_not_depend_on_the_order_of_spots(seed: int) -> None:
    """Shuffling spots chooses the same genes."""
    rng = np.random.default_rng(seed)
    counts = sparse.csr_matrix(
        rng.poisson(rng.gamma(0.5, 3.0, (60, 1)) * rng.gamma(0.7, 2.0, 300)), dtype=np.float64
    )
    order = rng.permutation(counts.shape[0])
    assert np.array_equal(highly_variable(counts, 50), highly_variable(counts[order], 50))


@settings(max_examples=60, deadline=None)
@given(
    angle=st.floats(0, 2 * np.pi),
    pitch=st.floats(5, 500),
    mirrored=st.booleans(),
    hexagonal=st.booleans(),
    factor=st.integers(1, 8),
)
def test_any_lattice_is_fitted_and_upsampled(
    angle: float, pitch: float, mirrored: bool, hexagonal: bool, factor: int
) -> None:
    """Rotated, mirrored, scaled: the fit has kind and pitch, and offsets never coincide modulo the lattice."""
    column, row = (part.ravel().astype(float) for part in np.meshgrid(np.arange(9), np.arange(8)))
    lattice_xy = np.column_stack([2 * column + row % 2, row]) if hexagonal else np.column_stack([column, row])
    xy = lattice_xy * ([0.5, 0.75**0.5] if hexagonal else [1.0, 1.0]) * pitch
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = (xy * [-1, 1] if mirrored else xy) @ rotation
    lattice = Lattice.fit(xy, lattice_xy)
    assert lattice.kind == ("hexagonal" if hexagonal else "square")
    assert abs(lattice.pitch_um / pitch - 1) < 1e-6
    assert np.allclose(lattice.to_um(lattice.to_lattice(xy)), xy, atol=1e-6 * pitch)
    steps = offsets(lattice, factor)
    assert len(steps) == factor
    gaps = steps[:, None] - steps[None]
    distance = np.abs(gaps - np.rint(gaps)).max(axis=2)
    assert (distance[~np.eye(factor, dtype=bool)] > 1e-3).all()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 500), size=st.integers(2, 60), seed=st.integers(0, 99))
def test_windows_are_a_partition(n: int, size: int, seed: int) -> None:
    """Every order cuts all rows into windows, each once, none too large."""
    xy = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    for order in ("file", "random", "spatial"):
        parts = windows(xy, size, order)  # type: ignore[arg-type]
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
        assert max(map(len, parts)) <= size


@settings(max_examples=50, deadline=None)
@given(n=st.integers(4, 400), fraction=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_splits_are_disjoint_and_repeatable(n: int, fraction: float, seed: int) -> None:
    """A random split has its share of training spots, and the same seed gives the same split."""
    split = splits.random(n, fraction=fraction, seed=seed)
    assert len(split.training) == round(fraction * n)
    assert not set(split.training) & set(split.test)
    assert len(split.training) + len(split.test) == n
    assert np.array_equal(split.training, splits.random(n, fraction=fraction, seed=seed).training)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), guard=st.floats(0, 2))
def test_blocks_keep_their_distance(seed: int, guard: float) -> None:
    """No training spot is nearer to a test spot than the guard band."""
    xy = np.random.default_rng(seed).uniform(0, 40, (300, 2))
    split = splits.blocks(xy, width_um=8.0, guard_um=guard, seed=seed)
    gaps = np.linalg.norm(xy[split.training][:, None] - xy[split.test][None], axis=2)
    assert gaps.min() > guard


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(value=plain)
def test_fingerprints_depend_on_values_and_not_on_objects(value: object) -> None:
    """Equal content, equal hash; wrapping a value changes it."""
    import copy

    assert fingerprint(value) == fingerprint(copy.deepcopy(value))
    assert fingerprint([value]) != fingerprint(value)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_standardised_columns_do_not_depend_on_units(seed: int, shift: float, scale: float) -> None:
    """Another unit or zero of a feature gives the same numbers."""
    values = np.random.default_rng(seed).normal(size=(30, 4))
    other = values * scale + shift
    assert np.allclose(Columns.of(values).apply(values), Columns.of(other).apply(other), atol=1e-4)
