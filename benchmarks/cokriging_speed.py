"""Time to fit cokriging and to predict 4 locations per spot, image features ready; and against the published HisToSGE.

python benchmarks/cokriging_speed.py SECTION
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from divided_section import arguments_of, encoded

import histosge as hs
from histosge._runtime.provenance import peak_memory_bytes
from histosge.models.base import FactoredPredictor
from histosge.prediction.unfitted_genes import extend
from histosge.section.inputs import Inputs, Samples
from histosge.workflow.encode import encode, encoder_for

_EPOCHS, _PUBLISHED_EPOCHS = 4, 1000
T = TypeVar("T")


def timed(function: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def in_memory(inputs: Inputs) -> Inputs:
    """Return the inputs with their features read."""
    return replace(inputs, features=np.asarray(inputs.features[:]))  # type: ignore[index]


def upsampled_inputs(section: hs.Section) -> Inputs:
    """Return what cokriging reads at 4 locations per spot."""
    recipe = hs.Recipe()
    needs = recipe.build().needs
    encoder = encoder_for(section, recipe, needs=needs)
    return in_memory(encode(section, hs.upsampled(section, 4), needs=needs, encoder=encoder))


def epoch_seconds(samples: Samples) -> float:
    """Return the seconds of an epoch of the published HisToSGE."""
    published: Any = hs.Recipe(
        "histosge", "published", {"epochs": _EPOCHS, "crop_px": None, "channel_order": "rgb"}
    ).build()
    # the first fit also loads the libraries
    replace(published, epochs=1).fit(samples)
    seconds = [
        timed(lambda epochs=epochs: replace(published, epochs=epochs).fit(samples))[1]
        for epochs in (_EPOCHS, 2 * _EPOCHS)
    ]
    return (seconds[1] - seconds[0]) / _EPOCHS


def measure_section(section: hs.Section) -> None:
    samples = encoded(section)
    samples = replace(samples, inputs=in_memory(samples.inputs))
    locations = upsampled_inputs(section)
    predictor, fit = timed(lambda: hs.Recipe().build().fit(samples))
    assert isinstance(predictor, FactoredPredictor)
    factored, scores = timed(lambda: predictor.factored(locations))
    _, means = timed(lambda: sum(len(block[1]) for block in factored.blocks()))
    total = fit + scores + means
    print(f"{len(samples)} spots, {len(samples.genes)} genes: fit {fit:.1f} s")
    print(
        f"factor scores at {len(locations)} locations {scores:.1f} s, expression {means:.1f} s; {total:.1f} s in all"
    )
    print(f"peak memory {peak_memory_bytes() / 1e9:.2f} GB")
    mean, sd = predictor.left_out_scores()
    basis, regression = timed(
        lambda: extend(factored.basis, mean, section.counts, section.genes, score_sd=sd)
    )
    print(
        f"loadings of all {len(basis)} genes {regression:.1f} s; {fit + scores + regression:.1f} s with them"
    )
    epoch = epoch_seconds(samples)
    print(f"published HisToSGE on the same features: {epoch:.2f} s per epoch;", end=" ")
    print(f"{_PUBLISHED_EPOCHS} epochs take {epoch * _PUBLISHED_EPOCHS / total:.0f} times as long")


def main() -> None:
    warnings.simplefilter("ignore")
    for path in arguments_of(__doc__).parse_args().sections:
        measure_section(hs.read(path))


if __name__ == "__main__":
    main()
