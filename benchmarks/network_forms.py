"""Patches a second of networks as they are, with channels last, compiled, and under bf16: side by side in one run.

Pixels lie channels last in memory in any case, as images do; the form of that name has the weights so too.

EfficientNet-Lite0 has its real weights, the vision transformer random ones: speed does not depend on their values. The
forms take turns, and the best of several turns counts, as other work on the machine only ever adds time. Features
differ in their last digits; the largest difference is given relative to the spread of the features.

    python benchmarks/network_forms.py --lite0 efficientnet-lite0-57934424.pth
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import timm
import torch

from histosge import Compute
from histosge.encoders import Encoder, load_encoder

VIT = "vit_base_patch16_224"
FORMS = ("plain", "channels last", "compiled")


def turn(encoder: Encoder, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the time by the clock and of the processor, and the features."""
    start = np.array([time.perf_counter(), time.process_time()])
    features = encoder.encode([patches])
    return np.array([time.perf_counter(), time.process_time()]) - start, features


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lite0", type=Path, required=True, help="weights of EfficientNet-Lite0")
    parser.add_argument("--patches", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    options = parser.parse_args()
    patches = np.random.default_rng(0).integers(0, 256, (options.patches, 224, 224, 3), dtype=np.uint8)
    print(
        "| network | precision | form | patches/s by the clock (of processor time) | first batch, s | difference |"
    )
    print("|---|---|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        random = Path(folder) / "vit.pth"
        torch.manual_seed(0)
        torch.save(timm.create_model(VIT).state_dict(), random)
        for name, weights in (("tf_efficientnet_lite0", options.lite0), (VIT, random)):
            encoders, first = {}, {}
            for precision, form in product(("fp32", "bf16"), options.forms):
                compute = Compute(options.device, precision, weights, compiled=form == "compiled")
                encoder = load_encoder(f"timm:{name}", compute.setup)
                if form == "channels last":
                    encoder.network.to(memory_format=torch.channels_last)
                encoders[precision, form] = encoder
                first[precision, form] = turn(encoders[precision, form], patches)[0][0]
            best = {key: np.full(2, np.inf) for key in encoders}
            features = {}
            for _ in range(options.turns):
                for key, encoder in encoders.items():
                    seconds, features[key] = turn(encoder, patches)
                    best[key] = np.minimum(best[key], seconds)
            usual = features["fp32", "plain"]
            for (precision, form), seconds in best.items():
                clock, processor = options.patches / seconds
                apart = np.abs(features[precision, form] - usual).max() / usual.std()
                print(
                    f"| `{name}` | {precision} | {form} | {clock:.1f} ({processor:.1f}) | {first[precision, form]:.1f} "
                    f"| {apart:.1g} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
