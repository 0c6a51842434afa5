"""Patches per second of UNI's network, in fp32 and under bf16 autocast.

Speed does not depend on the values of the weights: random ones replace UNI's gated ones. They are written to a
temporary file in the published layout (1.2 GB) and loaded like real ones.

    python benchmarks/uni_speed.py --patches 8
    python benchmarks/uni_speed.py --patches 512 --device cuda
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from histosge._runtime.device import resolve_device
from histosge.encoders import Setup, load_encoder
from histosge.encoders.uni import UNI


def save_random_weights(folder: Path) -> Path:
    """Write a random UNI in the published layout."""
    torch.manual_seed(0)
    path = folder / "assets" / "ckpts" / "uni" / "pytorch_model.bin"
    path.parent.mkdir(parents=True)
    torch.save(UNI.network().state_dict(), path)
    return path


def measure(setup: Setup, patches: np.ndarray) -> tuple[dict[str, object], np.ndarray]:
    """Return the measurement and the vectors; one short batch warms up first."""
    start = time.perf_counter()
    encoder = load_encoder("uni", setup)
    loaded = time.perf_counter()
    encoder.encode([patches[:2]])
    warm = time.perf_counter()
    vectors = encoder.encode([patches])
    seconds = time.perf_counter() - warm
    summary = {
        "precision": setup.precision,
        "device": setup.device,
        "load_s": round(loaded - start, 2),
        "patches": len(patches),
        "seconds": round(seconds, 2),
        "patches_per_s": round(len(patches) / seconds, 2),
    }
    return summary, vectors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=8)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = resolve_device(options.device)
    patches = np.random.default_rng(0).integers(0, 256, (options.patches, 224, 224, 3), dtype=np.uint8)
    vectors = {}
    with tempfile.TemporaryDirectory() as folder:
        path = save_random_weights(Path(folder))
        for precision in ("fp32", "bf16"):
            summary, vectors[precision] = measure(Setup(device, precision, path), patches)
            print(json.dumps(summary))
    exact, short = vectors["fp32"], vectors["bf16"]
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(short, axis=1)
    cosine = float(((exact * short).sum(axis=1) / lengths).min())
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        json.dumps({"threads": torch.get_num_threads(), "min_cosine": cosine, "peak_gb": round(peak_gb, 2)})
    )


if __name__ == "__main__":
    main()
