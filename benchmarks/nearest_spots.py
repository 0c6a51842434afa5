"""Nearest-neighbour kriging of what inducing points leave: accuracy at removed bins and removed blocks of bins.

python benchmarks/nearest_spots.py [--fine 0.7] [--seed 0]
python benchmarks/nearest_spots.py --section ../shared/data/crc16
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from divided_section import encoded
from scipy import sparse
from scipy.ndimage import gaussian_filter

import histosge as hs
from histosge.geometry.points import Points
from histosge.metrics.pearson import pearson
from histosge.models import build_model, predict
from histosge.section.expression import depth, log_cp10k
from histosge.section.inputs import Inputs, Samples

_SIDE, _BIN_UM, _GENES, _FACTORS = 100, 8.0, 200, 6
_OF_NINETY = 1.645


def bins(fine: float, seed: int) -> tuple[Samples, np.ndarray]:
    """Return 10 000 bins of 8 µm of 150 molecules, and their log1p(CP10k) without noise.

    Six factors of expression are Gaussian fields of 150 µm; ``fine`` is the share of variance of fields of 20 µm in
    them.
    """
    rng = np.random.default_rng(seed)
    xy = np.stack(np.meshgrid(np.arange(_SIDE), np.arange(_SIDE)), axis=-1).reshape(-1, 2) * _BIN_UM

    def field(width_um: float) -> np.ndarray:
        values = gaussian_filter(rng.normal(size=(_SIDE, _SIDE)), width_um / _BIN_UM, mode="reflect")
        return ((values - values.mean()) / values.std()).ravel()

    fields = [(1 - fine) ** 0.5 * field(150.0) + fine**0.5 * field(20.0) for _ in range(_FACTORS)]
    rates = np.exp(rng.normal(-1, 1, _GENES) + np.stack(fields, 1) @ rng.normal(0, 0.4, (_FACTORS, _GENES)))
    rates /= rates.sum(axis=1, keepdims=True)
    molecules = rng.lognormal(np.log(150), 0.4, len(xy))
    counts = sparse.csr_matrix(rng.poisson(rates * molecules[:, None]).astype(np.float32))
    yes, rows = np.ones(len(xy), dtype=bool), np.arange(len(xy))
    points = Points(xy, rows.astype(str), _BIN_UM)
    locations = hs.Locations(points, xy / _BIN_UM, rows, np.zeros(len(xy), dtype=np.intp), yes, yes)
    names = np.array([f"g{index}" for index in range(_GENES)])
    return Samples(Inputs(locations), log_cp10k(counts), names, depth(counts)), np.log1p(rates * 1e4)


def left_out(xy: np.ndarray, pitch: float, seed: int) -> dict[str, np.ndarray]:
    """Return single spots, a tenth of all, and other spots in 15 blocks of five by five pitches."""
    rng = np.random.default_rng([seed, 1])
    block = np.zeros(len(xy), dtype=bool)
    for centre in xy[rng.choice(len(xy), 15, replace=False)]:
        block |= (np.abs(xy - centre) <= 2.1 * pitch).all(axis=1)
    single = (rng.random(len(xy)) < 0.1) & ~block
    return {"bins": np.flatnonzero(single), "blocks": np.flatnonzero(block)}


def compared(
    samples: Samples, rows: dict[str, np.ndarray], truth: np.ndarray, inducing_points: int
) -> Iterator[str]:
    """Yield a line for each number of nearest spots and each set of spots left out."""
    training = np.setdiff1d(np.arange(len(samples)), np.concatenate(list(rows.values())))
    for nearest in (0, 16, 32):
        model = build_model(
            "cokriging",
            image=samples.inputs.features is not None,
            streamed=1,
            exact=1,
            inducing_points=inducing_points,
            nearest_spots=nearest,
        )
        predictor = model.fit(samples.take(training))
        range_um = predictor.summary().get("nearest_spots_range_um")
        for name, some in rows.items():
            prediction = predict(predictor, samples.inputs.take(some))
            measured = samples.take(some).dense_expression
            error = measured - prediction.mean
            yield (
                f"nearest {nearest:2d} (range {range_um} µm), {name} ({len(some)}): "
                f"r {np.nan_to_num(pearson(measured, prediction.mean)).mean():.4f}, "
                f"r with truth {np.nan_to_num(pearson(truth[some], prediction.mean)).mean():.4f}, "
                f"MSE {(error**2).mean():.4f}, "
                f"coverage {(np.abs(error) <= _OF_NINETY * prediction.sd).mean():.3f}, "  # type: ignore[operator]
                f"r_loo {predictor.summary()['r_loo']:.4f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fine", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--section", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.section is None:
        samples, truth = bins(arguments.fine, arguments.seed)
        # as dense as 2000 of 605 000 bins
        inducing_points, pitch = 35, _BIN_UM
    else:
        section = hs.read(arguments.section)
        samples = encoded(section)
        truth, pitch, inducing_points = samples.dense_expression, section.pitch_um, 100
    rows = left_out(samples.inputs.locations.xy, pitch, arguments.seed)
    for line in compared(samples, rows, truth, inducing_points):
        print(line, flush=True)


if __name__ == "__main__":
    main()
