"""BayesSpace's sub-spots: their neighbours, chain and regression as described; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model, predict
from histosge.models.rivals.bayesspace import BayesSpace
from histosge.models.rivals.subspot_chain import Mixture, MixtureOptions, spot_labels, subspot_states
from histosge.models.rivals.subspots import neighbour_graph, subspots_of
from histosge.section.inputs import Inputs, Samples, in_section
from histosge.section.locations import at_spots

SECTION = hs.synthetic(columns=9, rows=9, genes=12).section
N = len(SECTION)
SHORT: dict[str, Any] = {"iterations": 30, "spot_iterations": 10, "components": 4, "clusters": 3}
USUAL = MixtureOptions(smoothing=3.0, jitter_scale=0.0, displacement=1.0, whole_shape=False)


def samples() -> Samples:
    """Spots whose expression is nowhere near 0, so that no prediction is cut."""
    expression = 20 + np.random.default_rng(0).normal(size=(N, 6))
    return Samples(Inputs(at_spots(SECTION)), expression, np.array(list("ABCDEF")), np.ones(N))


def mixture(
    values: np.ndarray, labels: np.ndarray, clusters: int, options: MixtureOptions = USUAL
) -> Mixture:
    """Rows on a line."""
    line = np.column_stack([np.arange(len(values)), np.zeros(len(values))]).astype(float)
    graph = neighbour_graph(line, 1.5, order=2)
    rng = np.random.default_rng(0)
    return Mixture(values, labels, clusters, graph=graph, options=options, rng=rng)


def test_a_subspot_inside_a_visium_section_has_three_neighbours() -> None:
    """Two of its own spot and one of an adjacent spot; neighbours are never updated together."""
    divided = subspots_of(SECTION.spots.xy, SECTION.lattice_xy)
    graph = divided.subspots
    assert divided.hexagonal
    assert graph.degree.max() == 3
    inside = graph.neighbours[graph.degree == 3]
    own = inside // 6 == (np.flatnonzero(graph.degree == 3) // 6)[:, None]
    assert (own.sum(axis=1) == 2).all()
    assert (divided.spots.degree.max(), np.median(divided.spots.degree)) == (6, 6)
    for group in graph.groups:
        assert not np.isin(graph.neighbours[group], group).any()
    assert np.array_equal(np.sort(np.concatenate(graph.groups)), np.arange(6 * N))


def test_subspots_lie_around_their_spot_and_divide_the_pitch() -> None:
    """Their mean is the spot; a third of the pitch is between the nearest, on either lattice, rotated or not."""
    square = hs.synthetic(columns=9, rows=9, genes=12, lattice="square").section
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    for section, pitch_um, number in ((SECTION, 100.0, 6), (square, 200.0, 9)):
        for xy in (section.spots.xy, section.spots.xy @ turn):
            for lattice_xy in (section.lattice_xy, np.full((len(section), 2), np.nan)):
                divided = subspots_of(xy, lattice_xy)
                assert divided.xy_um.shape[1] == number
                assert np.allclose(divided.xy_um.mean(axis=1), xy)
                nearest = cKDTree(divided.xy_um.reshape(-1, 2)).query(divided.xy_um, k=2)[0][..., 1]
                assert np.allclose(nearest, pitch_um / 3, rtol=0.02)


@pytest.mark.parametrize("jitter_scale", [0.0, 5.0])
def test_the_mean_of_subspots_is_the_spot_at_every_iteration(jitter_scale: float) -> None:
    """To 1e-10, while sub-spots move."""
    # steps as published are absolute: components must vary much more
    values = 20 * np.random.default_rng(1).normal(size=(20, 3))
    options = MixtureOptions(smoothing=3.0, jitter_scale=jitter_scale, displacement=1e-4, whole_shape=False)
    chain = mixture(np.repeat(values, 6, axis=0), np.repeat(np.arange(20) % 2, 6), 2, options)
    moved = np.zeros(20)
    for state, accepted in subspot_states(chain, 6, 200):
        assert np.abs(state.mean(axis=1) - values).max() < 1e-10
        moved += accepted
    assert (moved > 0).all()


def test_adapted_steps_have_their_acceptance() -> None:
    """After the first tenth, about 0.234 of the steps are accepted."""
    values = np.random.default_rng(1).normal(size=(30, 4))
    chain = mixture(np.repeat(values, 6, axis=0), np.zeros(180, dtype=int), 1)
    accepted = [share.mean() for _, share in subspot_states(chain, 6, 1500)]
    assert 0.17 < np.mean(accepted[150:]) < 0.3


def test_labels_of_two_clusters_are_recovered() -> None:
    """From wrong labels to begin with; the prior of neighbours joins a row to those beside it."""
    truth = np.repeat([0, 1], 20)
    values = np.random.default_rng(2).normal(size=(40, 2)) + 8 * truth[:, None]
    start = truth.copy()
    start[[3, 9, 30]] = 1 - start[[3, 9, 30]]
    assert np.array_equal(spot_labels(mixture(values, start, 2), 200), truth)


def test_draws_have_the_moments_of_their_distributions() -> None:
    """Precisions those of Wishart, weights those of gamma, whose shape is a whole number only as published."""
    values = np.random.default_rng(3).normal(size=(50, 15))
    for whole, shape in ((False, 9.5), (True, 9.0)):
        options = MixtureOptions(smoothing=3.0, jitter_scale=0.0, displacement=1.0, whole_shape=whole)
        chain = mixture(values, np.zeros(50, dtype=int), 1, options)
        chain.means = np.zeros((1, 15))
        total = np.zeros((15, 15))
        for _ in range(400):
            chain.weights = np.ones(50)
            chain.draw_precision()
            total += chain.precision
        expected = 51 * np.linalg.inv(values.T @ values + 0.01 * np.eye(15))
        assert np.allclose(total / 400, expected, atol=0.06)
        chain._root = np.linalg.cholesky(chain.precision)
        rate = (chain.squared_distances(values, chain.labels) + 4) / 2
        scaled = []
        for _ in range(300):
            chain.draw_weights_and_labels()
            scaled.append(chain.weights * rate)
        assert abs(np.mean(scaled) - shape) < 0.1


def test_genes_of_subspots_average_to_a_projection_of_the_spots() -> None:
    """The linear regression of the mean of sub-spots is the projection of the measured data on its components."""
    spots = samples()
    predictor = BayesSpace(**SHORT).fit(spots)
    mean = predictor.components.reshape(-1, 6, 4).mean(axis=1)
    order = np.lexsort((*spots.inputs.locations.xy.T, np.zeros(N)))
    centred = spots.expression - spots.expression.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    projection = spots.expression.mean(axis=0) + (left[:, :4] * singular[:4]) @ right[:4]
    aggregated = predictor.coefficients[0] + mean @ predictor.coefficients[1:]
    assert np.allclose(aggregated, projection[order], atol=1e-8)
    # six sub-spots are equally near to the middle of a spot
    assert np.allclose(predict(predictor, spots.inputs).mean, projection, atol=1e-4)
    within = np.abs(predictor.components.reshape(-1, 6, 4) - mean[:, None]).max(axis=1)
    assert (within > 0).any()


def test_a_location_has_its_subspot_or_an_average() -> None:
    """Beside a sub-spot its own components; with `idw` those of six, at a sub-spot nearly its own."""
    spots = samples()
    for preset, tolerance in ((None, 1e-9), ("idw", 1e-2)):
        predictor: Any = build_model("bayesspace", preset, **SHORT).fit(spots)
        tree = cKDTree(predictor.xy_um)
        assert np.allclose(predictor.at(tree, predictor.xy_um), predictor.components, atol=tolerance)
        beside = predictor.at(tree, predictor.xy_um + 3.0)
        assert np.allclose(beside, predictor.components, atol=1e-9) is (preset is None)


def test_the_order_of_spots_changes_nothing() -> None:
    """Spots in another order give the same bits; another seed gives other sub-spots."""
    spots, model = samples(), BayesSpace(**SHORT)
    order = np.random.default_rng(1).permutation(N)
    usual = model.fit(spots, seed=1)
    assert np.array_equal(model.fit(spots.take(order), seed=1).components, usual.components)
    assert not np.array_equal(model.fit(spots, seed=2).components, usual.components)


def test_the_prior_of_distances_has_its_documented_direction() -> None:
    """A smaller `jitter_prior` keeps sub-spots nearer to their spot; as published, further from it."""
    components = np.random.default_rng(0).normal(size=(30, 3))
    for prior_on, stronger in (("variance", True), ("precision", False)):
        small, large = (
            BayesSpace(jitter_prior=value, prior_on=prior_on)._options(components, hexagonal=True)  # type: ignore[arg-type]
            for value in (0.1, 0.5)
        )
        assert (small.displacement > large.displacement) is stronger
    assert BayesSpace()._options(components, hexagonal=False).smoothing == 2.0


def test_tasks_outside_of_spots_are_refused() -> None:
    """Sub-spots are inside measured spots; the adaptation averages them elsewhere; wrong numbers are refused."""
    model, adapted = build_model("bayesspace"), build_model("bayesspace", "idw")
    assert "idw" in model.reason_against("test_spots")
    assert model.reason_against("sublattice")
    assert not model.reason_against("finer")
    assert not adapted.reason_against("test_spots")
    assert model.reason_against("new_section")
    assert adapted.reason_against("new_section")
    spots = samples()
    with pytest.raises(UsageError, match="has none"):
        predict(BayesSpace(**SHORT).fit(spots), in_section(spots.inputs, 1))
    with pytest.raises(UsageError, match="positive"):
        build_model("bayesspace", jitter_prior=0.0)
    with pytest.raises(UsageError, match="1 or more"):
        build_model("bayesspace", iterations=0)
