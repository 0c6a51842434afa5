"""Columns are scaled in parts, in bounded memory: the numbers are those of all at once, to the last bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from histosge.models import scaling
from histosge.models.scaling import Columns, column_variances


def values(rows: int, columns: int, kind: type) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(rows, columns)) * rng.gamma(1.0, size=columns)).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [0, 1, 16, 17, 33, 100])
def test_parts_have_the_bits_of_the_whole(kind: type, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variances and standardised values do not depend on the size of a part, whatever is left for the last."""
    monkeypatch.setattr(scaling, "_AT_ONCE", 7 * max(1, columns))
    read = values(50, columns, kind)
    assert np.array_equal(column_variances(read), read.var(axis=0, dtype=np.float64))
    fitted = Columns.of(read)
    expected = np.clip((read - fitted.mean) / fitted.scale, -6, 6).astype(np.float32)
    assert np.array_equal(fitted.apply(read), expected)


def test_scaling_does_not_copy_all_values_in_double_precision() -> None:
    """Beyond the result, which is as large as the values, it takes less than they do."""
    read = values(1000, 20_000, np.float32)
    tracemalloc.start()
    Columns.of(read).apply(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * read.nbytes
