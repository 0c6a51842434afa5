"""Memory is estimated before a fit: one that cannot fit is refused with the cure."""

from __future__ import annotations

import pytest

import histosge as hs
from histosge._runtime.memory import available_bytes
from histosge.errors import HistosgeWarning, UsageError
from histosge.models import build_model
from histosge.workflow.memory import fit_bytes

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section


def test_what_is_free_is_known_on_linux():
    """Some memory is free, and less than a petabyte."""
    free = available_bytes()
    assert free is None or 0 < free < 2**50


@pytest.mark.parametrize(("share", "refused"), [(0.5, True), (0.9, False)])
def test_a_fit_larger_than_memory_is_refused_before_it_begins(monkeypatch, share, refused):
    """A fit that needs twice what is free is refused, and names fewer genes; one that nearly fits is a warning."""
    needed = fit_bytes(build_model("kriging"), len(SECTION), 12)
    monkeypatch.setattr("histosge.workflow.memory.available_bytes", lambda: share * needed)
    recipe = hs.Recipe("kriging", genes="all")
    if refused:
        with pytest.raises(UsageError, match="Fit fewer"):
            hs.fit(SECTION, recipe)
    else:
        with pytest.warns(HistosgeWarning, match="may be killed"):
            hs.fit(SECTION, recipe)


def test_a_fit_that_fits_says_nothing(monkeypatch, recwarn):
    """With memory to spare, or unknown, there is no message."""
    for free in (2**50, None):
        monkeypatch.setattr("histosge.workflow.memory.available_bytes", lambda free=free: free)
        hs.fit(SECTION, hs.Recipe("kriging", genes="all"))
    assert not [warning for warning in recwarn if "memory" in str(warning.message)]


def test_a_streamed_fit_needs_no_dense_matrix():
    """Cokriging of very many spots needs less than one copy of the values; adjusted for depth it has them all."""
    model, spots, genes = build_model("cokriging"), 600_000, 1000
    assert fit_bytes(model, spots, genes) < 12e9
    assert fit_bytes(model, spots, genes, depth_adjusted=True) > 16 * spots * genes
    assert fit_bytes(build_model("kriging"), spots, genes) >= 16 * spots * genes


def test_a_fit_by_inducing_points_needs_a_matrix_of_them_however_few_genes_there_are():
    """50 000 spots × 100 genes were measured at 2.1 GB, most of which the genes do not decide."""
    model = build_model("cokriging")
    assert 2e9 < fit_bytes(model, 50_000, 100) < 4e9
    assert fit_bytes(model, 50_000, 1000) > fit_bytes(model, 50_000, 100)
    assert fit_bytes(model, 200, 1000) < 1e8
