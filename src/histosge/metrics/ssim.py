"""Structural similarity of maps whose pixels are spots."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from histosge._runtime.types import Array, Float
from histosge.geometry.spacing import median_spacing_um

from .base import Case, Metric, MetricCard

__all__ = ["ENTRIES", "disks", "ssim"]

# the constants of the paper, times the range of the truth
_K1, _K2 = 0.01, 0.03
# a window of 19 spots on a complete hexagonal lattice
_RADIUS_PITCHES = 2.1


def ssim(
    truth: Float[np.ndarray, "n g"], found: Float[np.ndarray, "n g"], windows: sparse.csr_matrix
) -> Float[np.ndarray, " g"]:
    """Return the mean structural similarity (Wang et al. 2004) of each column.

    Parameters
    ----------
    truth, found
        Values at spots.
    windows
        n × n: row i averages over the window around spot i. On a full square grid with square windows this is the
        usual SSIM of images.
    """
    truth, found = truth.astype(np.float64), found.astype(np.float64)
    extent = np.ptp(truth, axis=0)
    one, two = (_K1 * extent) ** 2, (_K2 * extent) ** 2
    mean_t, mean_f = windows @ truth, windows @ found
    var_t, var_f = windows @ truth**2 - mean_t**2, windows @ found**2 - mean_f**2
    both = windows @ (truth * found) - mean_t * mean_f
    top = (2 * mean_t * mean_f + one) * (2 * both + two)
    bottom = (mean_t**2 + mean_f**2 + one) * (var_t + var_f + two)
    similar = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    # a gene without any range has no structure to be like
    return np.where(extent > 0, similar.mean(axis=0), np.nan)


def disks(xy_um: Float[np.ndarray, "n 2"], radius_um: float) -> sparse.csr_matrix:
    """Return windows: all spots within ``radius_um``, equally weighted."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy_um)
    near = tree.sparse_distance_matrix(tree, radius_um, output_type="coo_matrix")
    # the distance of a spot to itself is an explicit zero: whatever is stored is in the window
    member = sparse.csr_matrix((np.ones(near.nnz), (near.row, near.col)), shape=(len(xy_um),) * 2)
    return sparse.csr_matrix(member.multiply(1 / np.asarray(member.sum(axis=1))))


def _of(case: Case) -> Array | None:

    if case.xy_um is None or len(case.xy_um) < 3:
        return None
    pitch_um = median_spacing_um(case.xy_um)
    return ssim(case.truth, case.found, disks(case.xy_um, _RADIUS_PITCHES * pitch_um))


ENTRIES = (
    Metric(
        MetricCard(
            "ssim",
            "Structural similarity over windows of two pitches around each spot.",
            "higher",
            (-1.0, 1.0),
            "wang2004ssim",
            ("test",),
        ),
        _of,
    ),
)
