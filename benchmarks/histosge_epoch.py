"""Seconds per epoch of HisToSGE's presets on one section, all in one run.

    python benchmarks/histosge_epoch.py ../shared/data/crc16 [--epochs 6] [--width 1024]

``--width`` also times the presets on that many random columns in place of the texture features: UNI has 1024.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from divided_section import arguments_of, encoded

import histosge as hs
from histosge.models import build_model
from histosge.section.inputs import Samples

PRESETS = ("published", "paper", "corrected")


def seconds(samples: Samples, preset: str, epochs: int) -> float:
    """Return seconds per epoch: a fit of ``1 + epochs`` epochs minus a fit of one, by ``epochs``."""
    durations = []
    # the first fit warms up and does not count
    for count in (1, 1, 1 + epochs):
        model = build_model("histosge", preset, epochs=count)
        start = time.perf_counter()
        model.fit(samples)
        durations.append(time.perf_counter() - start)
    return (durations[2] - durations[1]) / epochs


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--width", type=int, default=1024)
    arguments = parser.parse_args()
    for path in arguments.sections:
        samples = encoded(hs.read(path), hs.Recipe("histosge", "paper"))
        print(f"{len(samples)} spots, {len(samples.genes)} genes")
        width = samples.inputs.features.shape[1] if samples.inputs.features is not None else 0
        random = np.random.default_rng(0).normal(size=(len(samples), arguments.width)).astype(np.float32)
        wide = replace(samples, inputs=replace(samples.inputs, features=random))
        for label, variant in ((f"texture ({width} columns)", samples), (f"{arguments.width} columns", wide)):
            duration = {preset: seconds(variant, preset, arguments.epochs) for preset in PRESETS}
            times = ", ".join(f"{preset} {value:.2f} s" for preset, value in duration.items())
            ratio = duration["corrected"] / duration["published"]
            print(f"{label}: {times}; corrected / published {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
