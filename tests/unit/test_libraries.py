"""Of an AnnData with several sections, one is read: the one that is chosen."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from folders import TRUTH

from histosge.errors import DataError, UsageError
from histosge.io.readers.anndata import from_anndata


def two(column: str | None = "sample", *, libraries: bool = True, lattice: bool = False) -> anndata.AnnData:
    """Return two copies of the section, A and B, with the column that tells them apart."""
    parts = []
    for name in "AB":
        obs = pd.DataFrame(index=[f"{spot}_{name}" for spot in TRUTH.spots.ids])
        if lattice:
            obs["array_col"], obs["array_row"] = TRUTH.lattice_xy.T.astype(int)
        part = anndata.AnnData(TRUTH.counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=TRUTH.genes))
        part.obsm["spatial"] = TRUTH.spots.xy / TRUTH.mpp
        parts.append(part)
    both = anndata.concat(parts, label=column, keys=["A", "B"])
    if libraries:
        both.uns["spatial"] = {name: {"images": {}, "scalefactors": {}} for name in "AB"}
    return both


@pytest.mark.parametrize("column", ["library_id", "sample", "any_name"])
def test_the_column_whose_values_are_the_libraries_tells_the_spots_apart(column: str) -> None:
    """The spots of B are those that any column of obs says are of B."""
    section = from_anndata(two(column), library_id="B", mpp=0.5)
    assert len(section) == len(TRUTH)
    assert all(str(spot).endswith("_B") for spot in section.spots.ids)


def test_several_libraries_without_a_column_are_refused() -> None:
    """Where nothing tells the spots of the libraries apart, none is read."""
    with pytest.raises(DataError, match="no column of obs"):
        from_anndata(two(None), library_id="B", mpp=0.5)


def test_columns_that_disagree_are_refused() -> None:
    """Two columns with the libraries' names that disagree on the spots are refused."""
    both = two("sample")
    both.obs["batch"] = ["B", *both.obs["sample"].tolist()[1:]]
    with pytest.raises(DataError, match="disagree"):
        from_anndata(both, library_id="B", mpp=0.5)


def test_samples_without_libraries_are_chosen_by_name() -> None:
    """Several samples, of which uns has no entry, are listed; one is chosen with `library_id`."""
    both = two("sample", libraries=False)
    with pytest.raises(UsageError, match="A, B"):
        from_anndata(both, mpp=0.5)
    assert len(from_anndata(both, library_id="A", mpp=0.5)) == len(TRUTH)


def test_an_image_of_one_of_several_samples_is_used_for_none_of_another_name() -> None:
    """One entry in uns beside two samples is used for the sample of its name only."""
    both = two("sample", libraries=False)
    both.uns["spatial"] = {"A": {"images": {}, "scalefactors": {"spot_diameter_fullres": 110.0}}}
    assert from_anndata(both, library_id="A", mpp=0.5).spots.diameter_um == pytest.approx(55)
    assert from_anndata(both, library_id="B", mpp=0.5).spots.diameter_um != pytest.approx(55)


def test_spots_on_top_of_each_other_are_refused() -> None:
    """Two sections at the same array positions are no section, whether or not a column says so."""
    with pytest.raises(DataError, match="on top of each other"):
        from_anndata(two(None, libraries=False, lattice=True), mpp=0.5)
