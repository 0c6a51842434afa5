"""Neighbours of locations: distance, graphs, connected components."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.domains.neighbours import component_sizes, edges_within, nearest_edges, neighbour_distance_um


def hexagons(side: int = 12, pitch: float = 100.0) -> np.ndarray:
    column, row = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([column + 0.5 * (row % 2), row * np.sqrt(0.75)], -1).reshape(-1, 2) * pitch


def test_neighbours_on_a_lattice() -> None:
    """Inside a hexagonal lattice a location has six neighbours within 1.1 pitches, and twelve nearest in two rings."""
    xy = hexagons()
    inner = (np.abs(xy - xy.mean(0)) < 300).all(1)
    assert (np.bincount(edges_within(xy, 110.0)[1])[inner] == 7).all()
    near = nearest_edges(xy, 12)
    assert (np.bincount(near[1]) == 13).all()
    far = np.linalg.norm(xy[near[0]] - xy[near[1]], axis=1)
    assert far[inner[near[1]]].max() == pytest.approx(100 * 3**0.5)


def test_locations_at_the_same_position_have_self_loops() -> None:
    """Each location attends to itself once, also where others have the same position."""
    xy = np.zeros((5, 2))
    for edges in (nearest_edges(xy, 2), edges_within(xy, 1.0)):
        loops = edges[0][edges[0] == edges[1]]
        assert sorted(loops) == [0, 1, 2, 3, 4]


def test_neighbour_distance_is_the_pitch() -> None:
    """On a hexagonal lattice of any scale it is the pitch; on a square one up to 15 % more."""
    assert neighbour_distance_um(hexagons(20, 37.0)) == pytest.approx(37.0)
    square = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2) * 200
    assert 200 <= neighbour_distance_um(square) < 230
    assert (np.bincount(edges_within(square, 1.1 * neighbour_distance_um(square))[1]).max()) == 5


def test_components_are_counted() -> None:
    """Two separate lattices are two components, the larger first."""
    xy = np.concatenate([hexagons(4), hexagons(3) + 1e5])
    assert component_sizes(edges_within(xy, 110.0), len(xy)).tolist() == [16, 9]
