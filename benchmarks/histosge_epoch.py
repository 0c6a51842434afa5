"""Seconds an epoch of HisToSGE's presets take on one section, all in one run.

    python benchmarks/histosge_epoch.py ../shared/data/crc16 [--epochs 6] [--width 1024]

``--width`` also times the presets on that many random columns in place of the texture features: UNI has 1024.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge
from histosge.models import build_model
from histosge.section.genes import select
from histosge.section.inputs import Samples
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for


def seconds(samples: Samples, preset: str, epochs: int) -> float:
    """Return seconds an epoch: so many epochs more, less what one costs with its set-up."""
    taken = []
    # the first fit warms up, and does not count
    for count in (1, 1, 1 + epochs):
        model = build_model("histosge", preset, epochs=count)
        start = time.perf_counter()
        model.fit(samples)
        taken.append(time.perf_counter() - start)
    return (taken[2] - taken[1]) / epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=1024)
    arguments = parser.parse_args()
    section = histosge.read(arguments.section)
    model = build_model("histosge", "paper")
    encoder = encoder_for(section, histosge.Recipe(), needs=model.needs, compute=histosge.Compute())
    inputs = encode(section, at_spots(section), needs=model.needs, encoder=encoder)
    samples = samples_of(section, select(section), inputs)
    wide = np.random.default_rng(0).normal(size=(len(section), arguments.width)).astype(np.float32)
    print(f"{len(samples)} spots, {len(samples.genes)} genes")
    for label, some in (
        (f"texture ({inputs.features.shape[1] if inputs.features is not None else 0} columns)", samples),
        (f"{arguments.width} columns", replace(samples, inputs=replace(inputs, features=wide))),
    ):
        taken = {
            preset: seconds(some, preset, arguments.epochs) for preset in ("published", "paper", "corrected")
        }
        times = ", ".join(f"{preset} {value:.2f} s" for preset, value in taken.items())
        print(
            f"{label}: {times}; corrected / published {taken['corrected'] / taken['published']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
