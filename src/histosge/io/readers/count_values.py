"""Whether values are counts, what they are otherwise, and whether whole numbers may be no counts of molecules."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.section.expression import depth

__all__ = ["are_counts", "count_warnings", "kind_of_values"]

# rows that are compared; a section is normalised as a whole
_ROWS = 50
# relative deviation from a whole number that single precision leaves
_ROUNDING = 1e-4
# deviation from a whole number above which a large value is none either
_MOST_ROUNDING = 0.1
# molecules that the smallest value of a row may stand for; in a panel of strong genes it is rarely one
_SMALLEST = (1, 2, 3, 4, 5)
# rows whose sums are compared at least, and the relative difference that single precision leaves
_FEWEST_SUMS, _SUM_ROUNDING = 10, 1e-3
# above this a logarithm of counts per 10,000 does not go
_MAX_LOG = 20.0
# totals within this relative distance of the median are the same; so are those of this share of the spots, of so many
# spots, and with so many counts that chance does not make them so
_SAME_TOTAL, _SAME_SHARE, _FEWEST_SPOTS, _FEWEST_COUNTS = 0.01, 0.95, 20, 200
# values from which it is judged whether all may be ones, and how many twos must be missing
_FEWEST_ONES, _MISSING_TWOS = 1000, 100
# zeros that must be missing in one gene: whoever selects genes without zeros finds some in which a few are missing
_MISSING_ZEROS = 25
_CONSEQUENCE = (
    "What rests on the depth of a spot and on the noise of counts means nothing then: noise ceilings, intervals, "
    "r given depth, predicted counts. Give the raw counts, if these are none."
)


def are_counts(matrix: sparse.csr_matrix) -> bool:
    """Return whether all values are whole numbers from 0.

    Examples
    --------
    >>> are_counts(sparse.csr_matrix([[0, 2.0]])), are_counts(sparse.csr_matrix([[0, 0.5]]))
    (True, False)
    """
    data = matrix.data
    if data.dtype.kind in "biu":
        return not data.size or bool(data.min() >= 0)
    return bool(np.isfinite(data).all() and (data >= 0).all() and np.array_equal(data, np.rint(data)))


def kind_of_values(matrix: sparse.csr_matrix) -> str:
    """Return in words what values that are no counts seem to be.

    In a spot that was normalised, values are multiples of one molecule, and the smallest is one or a few; or all spots
    have the same sum. After log1p that holds for expm1 of the values.

    Examples
    --------
    >>> kind_of_values(sparse.csr_matrix(np.log1p([[100.0, 200.0, 700.0]])))
    'log-normalised values'
    """
    data = matrix.data
    if not np.isfinite(data).all():
        return "missing or infinite values"
    if (data < 0).any():
        return "negative values, as scaling or centring makes them"
    rows = [row for row in _rows(matrix) if len(row) > 1]
    if rows and data.max() <= _MAX_LOG and _normalised([np.expm1(row) for row in rows]):
        return "log-normalised values"
    if rows and _normalised(rows):
        return "normalised values"
    return "fractional values, as ambient correction (SoupX, DecontX), imputation or smoothing makes them"


def count_warnings(counts: sparse.csr_matrix) -> tuple[Message, ...]:
    """Return a warning where whole numbers are hardly counts of molecules; mostly none.

    Normalised values that were rounded have one total in all spots. For counts of which each is Poisson, whatever its
    mean, the numbers of zeros, ones and twos have N1² <= 2 N0 N2 in expectation (by the inequality of Cauchy and
    Schwarz): many ones without a two were binarised, and many ones without a zero had something added.

    Parameters
    ----------
    counts
        Spots × genes, of spots with counts.

    Examples
    --------
    >>> [message.level for message in count_warnings(sparse.csr_matrix(np.identity(60) + 1))]
    ['warning']
    >>> count_warnings(sparse.csr_matrix(np.random.default_rng(0).poisson(2.0, (60, 60))))
    ()
    """
    text = _no_counts(counts)
    return (Message("warning", f"{text} {_CONSEQUENCE}"),) if text else ()


def _no_counts(counts: sparse.csr_matrix) -> str:
    """Return in a sentence why whole numbers seem to be no counts; empty where nothing says so."""
    totals = depth(counts)
    if len(totals) < _FEWEST_SPOTS:
        return ""
    median = float(np.median(totals))
    same = float((np.abs(totals - median) <= _SAME_TOTAL * median).mean())
    values = int(np.count_nonzero(counts.data))
    zeros = counts.shape[0] * counts.shape[1] - values
    few_zeros = values**2 >= 2 * _MISSING_TWOS * zeros
    if counts.data.max(initial=0) <= 1 and values >= _FEWEST_ONES and few_zeros:
        return (
            f"None of the {values} counts is above 1: they seem to be binarised, 1 where a gene was detected."
        )
    # masks of all values are made only where there is no zero, which is rare
    if zeros == 0:
        ones, twos = _number_of(1, counts), _number_of(2, counts)
        if (ones**2 >= 2 * _MISSING_ZEROS * np.maximum(twos, 1)).any():
            return f"None of the {values} counts is 0, and {ones.sum()} are 1: something seems to have been added."
    if median >= _FEWEST_COUNTS and same >= _SAME_SHARE:
        return (
            f"{same:.0%} of the spots have the same total, {median:.6g} within {_SAME_TOTAL:.0%}: the values seem to "
            "be normalised and rounded, or sampled to one depth."
        )
    return ""


def _number_of(value: int, counts: sparse.csr_matrix) -> Array:
    """Return how often a value occurs in each gene."""
    return np.bincount(counts.indices[counts.data == value], minlength=counts.shape[1])


def _rows(matrix: sparse.csr_matrix) -> list[Array]:
    chosen = np.unique(np.linspace(0, matrix.shape[0] - 1, min(_ROWS, matrix.shape[0])).astype(int))
    rows = [matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]] for row in chosen]
    return [np.asarray(row[row > 0], dtype=np.float64) for row in rows]


def _normalised(rows: list[Array]) -> bool:
    return _multiples(rows) or _same_sums(rows)


def _same_sums(rows: list[Array]) -> bool:
    """Return whether all rows have the same sum."""
    sums = np.array([row.sum() for row in rows])
    return len(sums) >= _FEWEST_SUMS and bool(np.ptp(sums) <= _SUM_ROUNDING * sums.max())


def _multiples(rows: list[Array]) -> bool:
    """Return whether in most rows the values are whole multiples of one molecule, a few of which the smallest is."""
    ratios = [row / row.min() for row in rows]
    whole = [any(_whole(ratio * number) for number in _SMALLEST) for ratio in ratios]
    # a row whose values are all equal says nothing
    varied = [ok for ok, ratio in zip(whole, ratios, strict=True) if ratio.max() > 1.5]
    return bool(varied) and bool(sum(varied) > len(varied) / 2)


def _whole(values: Array) -> bool:
    return bool((np.abs(values - np.rint(values)) <= np.minimum(_ROUNDING * values, _MOST_ROUNDING)).all())
