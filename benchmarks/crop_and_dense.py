"""How alike the features of a network's crop and dense form are at the spots of a section, with real weights.

Cosine of the vectors, and correlation of each feature over the spots; the median of each. What the difference is worth
at spots left out, `histosge evaluate` measures (docs/encoders.md).

    python benchmarks/crop_and_dense.py --lite0 efficientnet-lite0-57934424.pth \
        ../shared/data/her2st/C2 ../shared/data/mob/MOB1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import histosge as hs
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.section.locations import at_spots


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+")
    parser.add_argument("--lite0", type=Path, required=True, help="weights of EfficientNet-Lite0")
    options = parser.parse_args()
    print("| section | network | cosine | correlation |\n|---|---|--:|--:|")
    for section in options.sections:
        read = hs.read(section)
        assert read.slide is not None
        for stage in ("", "@2"):
            name = f"timm:tf_efficientnet_lite0{stage}"
            crop, dense = (
                np.asarray(
                    embed(
                        read.slide,
                        at_spots(read).xy,
                        load_encoder(name + form, hs.Compute(weights=options.lite0).setup),
                    )[:],
                    dtype=np.float64,
                )
                for form in ("", "@dense")
            )
            cosine = (crop * dense).sum(axis=1) / np.linalg.norm(crop, axis=1) / np.linalg.norm(dense, axis=1)
            left, right = (values - values.mean(axis=0) for values in (crop, dense))
            varied = (left.std(axis=0) > 1e-6) & (right.std(axis=0) > 1e-6)
            left, right = left[:, varied], right[:, varied]
            r = (left * right).sum(axis=0) / np.sqrt((left**2).sum(axis=0) * (right**2).sum(axis=0))
            print(
                f"| {Path(section).name} | `{name}` | {np.median(cosine):.3f} | {np.median(r):.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
