"""Gene differences between regions: what is tested, with which replicates, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import histosge as hs
from histosge.datasets.synthetic import Waves
from histosge.errors import UsageError
from histosge.evaluation.comparison.spatial_regression import regress
from histosge.evaluation.comparison.spots import region_spots

GENES = 12
TISSUE = hs.synthetic(columns=12, rows=12, genes=GENES, seed=3)


def predicted(tissue: Any = TISSUE, upsample: int | None = 2, spacing_um: float | None = None) -> AnnData:
    recipe = hs.Recipe(model="kriging", genes="all")
    return hs.tl.enhance(tissue.section, recipe, upsample=upsample, spacing_um=spacing_um)


@pytest.fixture(scope="module")
def prediction() -> AnnData:
    return predicted()


def left_of(prediction: AnnData, x_um: float = 700.0) -> np.ndarray:
    return np.where(prediction.obsm["spatial_um"][:, 0] < x_um, "left", "right")


def hexagonal(columns: int = 14, rows: int = 14) -> np.ndarray:
    column, row = (part.ravel() for part in np.meshgrid(np.arange(columns), np.arange(rows)))
    return np.column_stack([(column + row % 2 / 2) * 100.0, row * 86.6])


@pytest.mark.parametrize("length_um", [120.0, 500.0])
def test_the_test_keeps_its_level_on_smooth_fields_and_the_naive_one_does_not(length_um: float) -> None:
    """Of smooth random fields without any difference at most 5 % are called different; by a t test many are."""
    from scipy import stats

    rng = np.random.default_rng(1)
    xy = hexagonal()
    fields = np.column_stack([Waves.draw(rng, length_um)(xy) for _ in range(200)])
    values = fields + rng.normal(size=fields.shape)
    left = xy[:, 0] < xy[:, 0].mean()
    # 200 fields: a level of 5 % gives more than 8.5 % once in a hundred
    assert (regress(values, left * 1.0, xy).p < 0.05).mean() < 0.085
    assert (stats.ttest_ind(values[left], values[~left]).pvalue < 0.05).mean() > 0.2


def test_a_difference_in_the_field_is_reported() -> None:
    """A step of one standard deviation between two regions is recognised in most smooth fields."""
    rng = np.random.default_rng(2)
    xy = hexagonal()
    inside = np.linalg.norm(xy - xy.mean(axis=0), axis=1) < 350
    fields = np.column_stack([Waves.draw(rng, 500.0)(xy) for _ in range(40)])
    values = fields + 0.3 * rng.normal(size=fields.shape) + inside[:, None]
    result = regress(values, inside * 1.0, xy)
    assert (result.p < 0.05).mean() > 0.9
    assert np.median(result.adjusted) == pytest.approx(1.0, abs=0.15)


def test_without_spatial_correlation_it_is_no_less_careful_than_the_t_test() -> None:
    """The difference is that of the means, and no p-value is smaller than that of independent spots."""
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    xy, values = hexagonal(), rng.normal(size=(196, 5))
    inside = (xy[:, 0] < 500) * 1.0
    result = regress(values, inside, xy)
    for gene in range(5):
        independent = sm.OLS(values[:, gene], sm.add_constant(inside)).fit()
        assert result.difference[gene] == pytest.approx(independent.params[1])
        assert result.second[gene] == pytest.approx(independent.params[0])
        assert result.p[gene] >= independent.pvalues[1] - 1e-12 or result.effective[gene] < 196


def test_estimates_are_those_of_statsmodels(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one covariance allowed, estimate, standard error and p are those of statsmodels' GLS."""
    import statsmodels.api as sm
    from scipy.spatial.distance import cdist

    from histosge.evaluation.comparison import spatial_regression
    from histosge.geometry.spacing import median_spacing_um
    from histosge.models.cokriging.block_covariance import matern

    rng = np.random.default_rng(4)
    xy = hexagonal(8, 8)
    values, inside = rng.normal(size=(64, 1)), (xy[:, 1] < 300) * 1.0
    monkeypatch.setattr(spatial_regression, "_RANGES", 1)
    monkeypatch.setattr(spatial_regression, "_SHARES", (0.5,))
    monkeypatch.setattr(spatial_regression, "_SHORTEST_SPACINGS", 2.0)
    sigma = 0.5 * matern(cdist(xy, xy), 2.0 * median_spacing_um(xy)) + 0.5 * np.eye(64)
    expected = sm.GLS(values[:, 0], sm.add_constant(inside), sigma=sigma).fit()
    result = regress(values, inside, xy)
    assert result.adjusted[0] == pytest.approx(expected.params[1])
    assert result.standard_error[0] == pytest.approx(expected.bse[1])
    assert result.p[0] == pytest.approx(expected.pvalues[1])


def test_predicted_locations_add_no_replicate(prediction: AnnData) -> None:
    """Four times as many predicted locations change neither p-values nor the number of replicates."""
    more = predicted(upsample=4)
    few, many = (hs.tl.compare(data, left_of(data)) for data in (prediction, more))
    assert few.replicates == many.replicates == len(TISSUE.section)
    np.testing.assert_allclose(few.table["p"].sort_index(), many.table["p"].sort_index())


def test_predicted_values_change_no_p_value(prediction: AnnData) -> None:
    """Predictions that a user changes change the predicted difference alone."""
    changed = prediction.copy()
    changed.X = changed.X + 5.0 * (left_of(changed) == "left")[:, None]
    before, after = (hs.tl.compare(data, left_of(data)).table for data in (prediction, changed))
    np.testing.assert_array_equal(before["p"], after["p"])
    np.testing.assert_allclose(after["predicted_difference"] - before["predicted_difference"], 5.0, atol=1e-4)


def test_the_table_says_what_was_measured(prediction: AnnData) -> None:
    """Difference and ratio are those of the measured spots, q is that of Benjamini and Hochberg, and repr is short."""
    from scipy import stats

    result = hs.tl.compare(prediction, left_of(prediction))
    observed = prediction.obs["observed"].to_numpy()
    measured, left = (
        prediction.layers["measured"][observed].toarray(),
        left_of(prediction)[observed] == "left",
    )
    means = [
        dict(zip(prediction.var_names, measured[rows].mean(axis=0), strict=True)) for rows in (left, ~left)
    ]
    for gene, row in result.table.iterrows():
        assert row["difference"] == pytest.approx(means[0][gene] - means[1][gene], abs=1e-5)
        assert row["ratio"] == pytest.approx(np.expm1(means[0][gene]) / np.expm1(means[1][gene]), rel=1e-4)
    np.testing.assert_allclose(result.table["q"], stats.false_discovery_control(result.table["p"]))
    assert len(repr(result)) < 200
    assert "spots" in repr(result)


def test_regions_are_columns_labels_polygons_or_files(prediction: AnnData, tmp_path: Path) -> None:
    """A column of obs, labels, corners in µm, and a GeoJSON file in pixels give the same result."""
    import shapely

    data = prediction.copy()
    data.obs["region"] = left_of(data)
    corners = [[-1e3, -1e3], [700, -1e3], [700, 9e3], [-1e3, 9e3], [-1e3, -1e3]]
    mpp = data.uns["histosge"]["layout"]["mpp"]
    pixels = (np.array(corners) / mpp).tolist()
    geometry = {"type": "Polygon", "coordinates": [pixels]}
    feature = {"type": "Feature", "properties": {"name": "left"}, "geometry": geometry}
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    expected = hs.tl.compare(data, "region").table["p"]
    shape = shapely.Polygon(corners)
    for regions in (left_of(data), {"left": corners}, {"left": shape}, path, str(path)):
        result = hs.tl.compare(data, regions)
        np.testing.assert_allclose(result.table["p"], expected, rtol=1e-6)
        assert result.first == "left"


def test_a_spot_that_two_regions_share_counts_by_its_shares() -> None:
    """With the section, spots on a border count in both regions; without, by their centre."""
    data = predicted(upsample=None, spacing_um=12.0)
    data.obs["region"] = left_of(data, 705.0)
    result = hs.tl.compare(data, "region", section=TISSUE.section)
    assert result.replicates == len(TISSUE.section)
    gene, labels = str(data.var_names[0]), left_of(data, 705.0)
    spots = region_spots(data, labels, ("left", "right"), [gene], section=TISSUE.section)
    # a spot has a diameter of 55 µm: a border through it leaves it in both regions
    shared = (spots.share > 0) & (spots.share < 1)
    np.testing.assert_array_equal(shared, np.abs(spots.xy_um[:, 0] - 705.0) < 21.0)
    slope = np.polyfit(spots.share, spots.values[:, 0], 1)[0]
    assert 0 < shared.sum() < 40
    assert result.table.loc[gene, "difference"] == pytest.approx(slope)
    with pytest.raises(UsageError, match="not independent samples"):
        hs.tl.compare(data, "region")
    with pytest.raises(UsageError, match="is not the measured section"):
        hs.tl.compare(data, "region", section=hs.synthetic(columns=8, rows=8, genes=GENES).section)


def test_domains_of_the_same_expression_have_no_p_value(prediction: AnnData) -> None:
    """Where the regions were found from the expression, differences are given and p and q are empty."""
    data = prediction.copy()
    hs.tl.domains(data, "kmeans", clusters=2)
    result = hs.tl.compare(data, "domains_kmeans")
    assert result.table[["p", "q"]].isna().all(axis=None)
    assert result.table["difference"].notna().all()
    assert "made from the expression" in " ".join(result.caveats)


def test_rare_and_constant_genes_are_not_tested(prediction: AnnData) -> None:
    """A gene counted at a few spots, or with one value, gets a caveat in place of a p-value."""
    data = prediction.copy()
    measured = data.layers["measured"].toarray()
    measured[:, 0] = 0.0
    rows = np.flatnonzero(data.obs["observed"])
    measured[:, 1] = 0.0
    measured[rows[:4], 1] = 2.0
    data.layers["measured"] = measured
    table = hs.tl.compare(data, left_of(data)).table
    for gene in data.var_names[:2]:
        assert np.isnan(table.loc[gene, "p"])
        assert "not tested" in table.loc[gene, "caveat"]
    assert table["p"].notna().sum() == GENES - 2


def test_many_spots_are_chosen_evenly(prediction: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more spots than the limit as many of both regions are chosen; the seed decides, and a caveat says so."""
    from histosge.evaluation.comparison import compare

    monkeypatch.setattr(compare, "_MOST_SPOTS", 40)
    results = [hs.tl.compare(prediction, left_of(prediction), seed=seed) for seed in (0, 0, 1)]
    assert results[0].replicates == 40
    assert "chosen at random" in " ".join(results[0].caveats)
    p = [result.table["p"].sort_index().to_numpy() for result in results]
    np.testing.assert_array_equal(p[0], p[1])
    assert (p[0] != p[2]).any()


def test_patients_are_replicates() -> None:
    """One difference a patient, averaged over the sections of a patient, in a paired t test."""
    from scipy import stats

    tissues = [hs.synthetic(columns=8, rows=8, genes=6, seed=seed) for seed in range(4)]
    data = [predicted(tissue) for tissue in tissues]
    for adata in data:
        adata.obs["region"] = left_of(adata, 500.0)
    result = hs.tl.compare(data, "region", replicate="patient", patients=["A", "A", "B", "C"])
    own = [hs.tl.compare(adata, "region").table.sort_index()["difference"] for adata in data]
    expected = stats.ttest_1samp([(own[0] + own[1]) / 2, own[2], own[3]], 0.0, axis=0)
    np.testing.assert_allclose(result.table.sort_index()["p"], expected.pvalue, rtol=1e-4)
    assert (result.replicates, result.test) == (3, "paired t test over patients")
    assert hs.tl.compare(data, "region", replicate="section").replicates == 4
    with pytest.raises(UsageError, match="at least 3 patients, got 2"):
        hs.tl.compare(data, "region", replicate="patient", patients=["A", "A", "B", "B"])
    with pytest.raises(UsageError, match="of the same section"):
        hs.tl.compare([data[0], *data], "region", replicate="section")
    with pytest.raises(UsageError, match="within one section"):
        hs.tl.compare(data, "region")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": {"small": [[700, 700], [710, 700], [705, 710]]}}, "holds no measured spot"),
        ({"regions": {"a": [[600, 600], [800, 600], [800, 800], [600, 800]]}}, "measured spots; at least 10"),
        ({"regions": {"a": [[0, 0], [900, 0], [900, 2000], [0, 2000]], "b": [[0, 0], [500, 0], [500, 2000]]}},
         "lie both in 'a' and in 'b'"),
        ({"regions": {"a": [[0, 0], [1, 1]]}}, "Expected corners"),
        ({"regions": ["left", "right"]}, "a label for each of"),
        ({"regions": "regoin"}, "neither a column of obs nor a GeoJSON"),
        ({"genes": ["TUMOUR11"]}, "Did you mean TUMOUR1"),
        ({"genes": "TUMOUR1"}, "a list of different gene names"),
        ({"genes": ["TUMOUR1", "TUMOUR1"]}, "a list of different gene names"),
        ({"genes": []}, "a list of different gene names"),
        ({"regions": {"a": [[0, 0], [1, float("nan")], [2, 0]]}}, "no finite number"),
        ({"between": ("left", "wrong")}, "No location is in region 'wrong'"),
        ({"between": ("left", "left")}, "two different regions"),
        ({"regions": "three"}, "got 3 (m, n, o)"),
        ({"replicate": "patient"}, "the patient of each"),
        ({"replicate": "patient", "patients": ["A"]}, "at least 3 patients, got 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(
    prediction: AnnData, options: dict[str, Any], message: str
) -> None:
    """Each unusable request is answered with one sentence."""
    import re

    data = prediction.copy()
    data.obs["three"] = np.array(["m", "n", "o"])[np.arange(data.n_obs) % 3]
    with pytest.raises(UsageError, match=re.escape(message)):
        hs.tl.compare(data, **({"regions": left_of(data)} | options))


def test_spatially_variable_genes_of_a_map_are_refused(prediction: AnnData) -> None:
    """Moran's I of predicted locations is refused, that of measured spots is squidpy's."""
    with pytest.raises(UsageError, match="not independent samples"):
        hs.tl.spatially_variable(prediction)
    spots = hs.tl.measured_spots(prediction)
    assert spots.n_obs == len(TISSUE.section)
    table = hs.tl.spatially_variable(spots)
    assert set(table.index) == set(prediction.var_names)
    assert table["I"].between(-1, 1).all()
    with pytest.raises(UsageError, match="Expected a prediction"):
        hs.tl.measured_spots(spots)
