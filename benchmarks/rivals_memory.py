"""Memory and time of the rivals on a section of Visium's size, features ready: half of the spots fitted, all predicted.

python benchmarks/rivals_memory.py [--models bleep,mclstexp,deepspot,triplex,istar,stentrans,tesla,bayesspace]
    [--spots 3000] [--genes 1000] [--features 150] [--epochs 2] [--as-is]

Expression and features are random numbers: neither depends on them. Each model is fitted in a process of its own; the
memory is what it adds to that of the process with its data. It is what the model's arrays take: there glibc returns
every array of 128 KiB or more to the system as it is freed. By default it keeps some of them, more or fewer from run
to run, which adds up to 0.4 GB to a network with many layers (``--as-is`` measures that).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import numpy as np

from histosge._runtime.provenance import Gauge
from histosge.geometry.points import Points
from histosge.models import build_model, predict
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import Locations

_MODELS = ("bleep", "mclstexp", "deepspot", "triplex", "istar", "stentrans", "tesla", "bayesspace")
# iterations of the two chains of BayesSpace, in place of 20 000 and 5000: no memory depends on them
_CHAINS = (200, 50)
# mallopt(3): a threshold that is set is not raised by what is freed; one arena for all threads
_RETURN_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_ARENA_MAX": "1"}


def main() -> None:
    """Start a process for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(_MODELS))
    parser.add_argument("--spots", type=int, default=3000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--features", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="the first model, in this process")
    parser.add_argument("--as-is", action="store_true", help="with what glibc keeps of freed arrays")
    options = parser.parse_args()
    if options.alone:
        measure(options)
        return
    environment = os.environ | ({} if options.as_is else _RETURN_FREED_MEMORY)
    for name in options.models.split(","):
        arguments = [sys.executable, __file__, *sys.argv[1:], "--models", name, "--alone"]
        subprocess.run(arguments, check=True, env=environment)


def measure(options: argparse.Namespace) -> None:
    """Fit and predict, and print memory, seconds of an epoch and the number of parameters."""
    import torch

    torch.set_num_threads(1)
    name, _, preset = options.models.partition(":")
    model = build_model(name, preset or None, **short(name, options.epochs))
    samples = random_samples(options, sum(windows.number for windows in model.needs.windows) or 1)
    half = samples.take(np.random.default_rng(0).permutation(options.spots)[: options.spots // 2])
    # PyTorch's own memory is that of any network
    build_model("bleep", epochs=1).fit(samples.take(np.arange(8)))
    before = Gauge()
    with before:
        pass
    fit = Gauge()
    with fit:
        predictor = model.fit(half)
    prediction = Gauge()
    with prediction:
        predict(predictor, samples.inputs)
    added = max(fit.cost["peak_mb"], prediction.cost["peak_mb"]) - before.cost["peak_mb"]
    steps = {"bayesspace": sum(_CHAINS), "tesla": 1}.get(name, options.epochs)
    step = {"bayesspace": "an iteration", "tesla": "in all"}.get(name, "an epoch")
    print(
        f"{options.models}: {added / 1024:.2f} GB, fit {fit.cost['cpu_s'] / steps:.3f} s of CPU {step}, "
        f"prediction {prediction.cost['cpu_s']:.1f} s, "
        f"{predictor.summary().get('parameters', 0) / 1e6:.1f} M parameters",
        flush=True,
    )


def short(name: str, epochs: int) -> dict[str, int]:
    """Return the options of a fit that is as large as a whole one, and shorter."""
    if name == "bayesspace":
        return {"iterations": _CHAINS[0], "spot_iterations": _CHAINS[1]}
    return {} if name == "tesla" else {"epochs": epochs}


def random_samples(options: argparse.Namespace, windows: int) -> Samples:
    """Return spots of Visium's lattice with random expression, colour, and features of so many windows."""
    number = np.arange(options.spots)
    row = number // 60
    lattice_xy = np.stack([2 * (number % 60) + row % 2, row], axis=1).astype(np.float64)
    points = Points(lattice_xy * (50.0, 50.0 * 3**0.5), number.astype(str), 55.0)
    everywhere = np.ones(options.spots, dtype=bool)
    locations = Locations(points, lattice_xy, number, np.zeros_like(number), everywhere, everywhere)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((options.spots, windows * options.features), dtype=np.float32)
    expression = rng.gamma(2.0, size=(options.spots, options.genes)).astype(np.float32)
    genes = np.array([f"gene{index}" for index in range(options.genes)])
    colour = rng.random((options.spots, 3))
    return Samples(
        Inputs(locations, features=features, colour=colour), expression, genes, np.ones(options.spots)
    )


if __name__ == "__main__":
    main()
