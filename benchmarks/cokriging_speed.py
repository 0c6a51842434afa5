"""Time to fit cokriging and to predict 4 places a spot, features ready; and against the published HisToSGE.

python benchmarks/cokriging_speed.py SECTION
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import histosge
from histosge._runtime.provenance import peak_memory_bytes
from histosge.models import build_model
from histosge.models.base import FactoredPredictor
from histosge.prediction.unfitted_genes import extend
from histosge.section.genes import select
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots, upsampled
from histosge.section.multi_section import samples_of
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.recipe import Recipe

_EPOCHS, _PUBLISHED_EPOCHS = 4, 1000


def clock(function: Any, *given: Any, **named: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    found = function(*given, **named)
    return found, time.perf_counter() - start


def main(path: Path) -> None:
    section = histosge.read(path)
    model = build_model("cokriging")
    encoder = encoder_for(section, Recipe(), needs=model.needs, compute=Compute())
    spots, places = (
        _ready(encode(section, where, needs=model.needs, encoder=encoder)) for where in _where(section)
    )
    samples = samples_of(section, select(section), spots)
    predictor, fit = clock(model.fit, samples)
    assert isinstance(predictor, FactoredPredictor)
    factored, predicted = clock(predictor.factored, places)
    mean, whole = clock(lambda: [block[1] for block in factored.blocks()])
    print(
        f"{len(samples)} spots, {len(samples.genes)} genes: fit {fit:.1f} s, fields at {len(places)} places"
    )
    print(f"{predicted:.1f} s, multiplied out {whole:.1f} s; together {fit + predicted + whole:.1f} s")
    print(f"peak memory {peak_memory_bytes() / 1e9:.2f} GB")
    score, sd = predictor.left_out_scores()
    basis, further = clock(extend, factored.basis, score, section.counts, section.genes, score_sd=sd)
    print(
        f"loadings of all {len(basis)} genes: {further:.1f} s more; together {fit + predicted + further:.1f} s"
    )
    del mean
    published = build_model("histosge", "published", epochs=_EPOCHS, crop_px=None, channel_order="rgb")
    # the first fit of all also loads the libraries
    replace(published, epochs=1).fit(samples)  # type: ignore[type-var]
    _, slow = clock(published.fit, samples)
    _, slower = clock(replace(published, epochs=2 * _EPOCHS).fit, samples)  # type: ignore[type-var]
    epoch = (slower - slow) / _EPOCHS
    ratio = epoch * _PUBLISHED_EPOCHS / (fit + predicted + whole)
    print(
        f"published HisToSGE on the same features: {epoch:.2f} s an epoch; {_PUBLISHED_EPOCHS} of them take"
    )
    print(f"{ratio:.0f} times as long")


def _ready(inputs: Inputs) -> Inputs:
    return replace(inputs, features=np.asarray(inputs.features[:]))  # type: ignore[index]


def _where(section: Any) -> tuple[Any, Any]:
    return at_spots(section), upsampled(section, 4)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
