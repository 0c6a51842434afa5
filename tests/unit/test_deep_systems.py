"""Deep systems: published sizes, options that are refused, use of image and position."""

from __future__ import annotations

from typing import Any

import pytest

from histosge.errors import UsageError
from histosge.models import build_model


def size(module: Any) -> int:
    return sum(value.numel() for value in module.parameters())


def network(name: str, genes: int, inputs: int = 0, **options: Any) -> Any:
    return build_model(name, None, **options).build_network(inputs, genes)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "genes", "inputs", "options", "parameters"),
    [
        ("feedforward", 1000, 1024, {}, 9_404_392),
        ("histogene", 785, 0, {"positions": 64}, 106_648_337),
        ("histogene", 1000, 0, {}, 106_999_784),
        ("thitogene", 785, 0, {"positions": 64}, 63_586_712),
        ("thitogene", 1000, 0, {}, 63_815_279),
        ("stage", 1000, 0, {}, 1_530_202 + 1_531_200),
        ("stage-plus", 1000, 1024, {}, 1_554_202 + 1_531_200),
        ("stnet", 1000, 0, {}, 7_978_856),
        ("deepspace", 1000, 0, {}, 138_357_544),
    ],
)
def test_networks_have_their_published_size(
    name: str, genes: int, inputs: int, options: dict[str, Any], parameters: int
) -> None:
    """Parameters are counted as the published descriptions add up to."""
    assert size(network(name, genes, inputs, **options)) == parameters


def test_parts_have_their_published_size() -> None:
    """So are THItoGene's dynamic convolution, capsules and graph, DeepSpaCE's last layer and STAGE's halves."""
    parts = network("thitogene", 785, positions=64)
    assert size(parts.dynamic) == 3_815
    assert size(parts.convolutions) + size(parts.capsules) == 317_344
    assert size(parts.graph) == 15_746_048
    assert size(network("deepspace", 1000).head) == 4_097_000
    assert size(network("stage", 1000).encoder) == 1_530_202


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("stnet", {"epochs": 0}, "1 or more"),
        ("deepspace", {"patience": 3}, "validation"),
        ("histogene", {"depth": 0}, "1 or more"),
        ("thitogene", {"network_px": 64}, "112"),
        ("stage", {"batch": 1}, "2 or more"),
        ("stage-plus", {"batch": 1}, "2 or more"),
        ("feedforward", {"batch": 1}, "2 or more"),
        ("gat", {"neighbours": 0}, "1 or more"),
        ("pca-ridge", {"components": 0}, "1 or more"),
        ("boosting", {"learning_rate": 0.0}, "above 0"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    """Options that cannot work are refused before any work is done."""
    with pytest.raises(UsageError, match=sentence):
        build_model(name, None, **options)


@pytest.mark.parametrize(
    ("name", "options", "uses_image", "uses_position"),
    [
        ("feedforward", {}, True, False),
        ("feedforward", {"position": True}, True, True),
        ("stage-plus", {}, True, False),
        ("stage-plus", {"path": "coordinates"}, False, True),
        ("stage", {}, False, True),
        ("gat", {}, True, True),
    ],
)
def test_what_a_system_uses_follows_from_its_options(
    name: str, options: dict[str, Any], uses_image: bool, uses_position: bool
) -> None:
    """Image and position are used where the configured network reads them for predictions."""
    model = build_model(name, None, **options)
    assert (model.uses_image, model.uses_position) == (uses_image, uses_position)
