"""Targets in which depth does not leak: what they gain given depth, and what they lose.

    python benchmarks/depth_free_targets.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2

A random half of the spots are test spots. Cokriging is fitted to each target at the other half, with the genes and the
image features of the default. Every prediction is turned back into log1p(CP10k) and compared with the measurement: r,
r given depth and the mean squared error, means over genes. Depth at test spots is unknown to every target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from divided_section import DividedSection, arguments_of, divide, mean_pcc

import histosge as hs
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.models.baselines.depth import Depth
from histosge.models.baselines.kriging import Kriging
from histosge.models.cokriging import standardise
from histosge.section.expression import TARGET_SUM, log_depth

Array = np.ndarray
# overdispersion of Lause et al. 2021, as 1/θ
_OVERDISPERSION = 0.01
# binomial thinnings of the reliability of a target
_THINNINGS = 3


@dataclass(frozen=True)
class Target:
    """A scale of expression: from counts and depth, and back to log1p(CP10k) at a depth.

    Parameters
    ----------
    forward
        From counts and log depth to the values that are fitted.
    inverse
        From predicted values and log depth to log1p(CP10k).
    """

    forward: Callable[[Array, Array], Array]
    inverse: Callable[[Array, Array], Array]


def log_cp10k(counts: Array, depth: Array) -> Array:
    """Return log1p(CP10k)."""
    return np.log1p(counts * (TARGET_SUM / np.exp(depth))[:, None])


def default(counts: Array, depth: Array) -> Target:
    """Return the scale of the package."""
    return Target(log_cp10k, lambda values, _: values)


def regression(counts: Array, depth: Array) -> Target:
    """Return log1p(CP10k) at the mean log depth, by a straight line for each gene."""
    values, centred = log_cp10k(counts, depth), depth - depth.mean()
    slope = centred @ values / (centred @ centred)

    def line(log_depth: Array) -> Array:
        return np.outer(log_depth - depth.mean(), slope)

    return Target(
        lambda counts, depth: log_cp10k(counts, depth) - line(depth),
        lambda values, depth: np.maximum(values + line(depth), 0),
    )


def pearson_residuals(counts: Array, depth: Array) -> Target:
    """Return analytic Pearson residuals (Lause et al. 2021); back by the expected count at a depth."""
    share, limit = counts.sum(axis=0) / np.exp(depth).sum(), np.sqrt(len(counts))

    def mean_and_sd(depth: Array) -> tuple[Array, Array]:
        mean = np.maximum(np.outer(np.exp(depth), share), 1e-12)
        return mean, np.sqrt(mean + _OVERDISPERSION * mean**2)

    def forward(counts: Array, depth: Array) -> Array:
        mean, sd = mean_and_sd(depth)
        return np.clip((counts - mean) / sd, -limit, limit)

    def inverse(values: Array, depth: Array) -> Array:
        mean, sd = mean_and_sd(depth)
        return log_cp10k(np.maximum(mean + values * sd, 0), depth)

    return Target(forward, inverse)


def offset(counts: Array, depth: Array) -> Target:
    """Return counts with log depth as offset: the log posterior mean rate of a negative binomial, by gene."""
    total = np.exp(depth)
    share = np.maximum(counts.sum(axis=0) / total.sum(), 1e-12)
    mean = np.outer(total, share)
    # the shape by moments: var = mean + mean²/shape
    excess = ((counts - mean) ** 2 - mean).sum(axis=0)
    shape = np.clip((mean**2).sum(axis=0) / np.maximum(excess, 1e-12), 0.1, 1000)

    def forward(counts: Array, depth: Array) -> Array:
        return np.log((counts + shape) / (np.outer(np.exp(depth), share) + shape))

    def inverse(values: Array, depth: Array) -> Array:
        return np.log1p(TARGET_SUM * share * np.exp(values))

    return Target(forward, inverse)


TARGETS: dict[str, Callable[[Array, Array], Target]] = {
    "log1p(CP10k), the default": default,
    "regression on log depth": regression,
    "analytic Pearson residuals": pearson_residuals,
    "counts with offset": offset,
}


def reliability_of(target: Target, counts: Array, depth: Array) -> Array:
    """Return the split-half reliability of each gene on the scale of a target."""
    rng = np.random.default_rng(0)
    half = []
    for _ in range(_THINNINGS):
        first = rng.binomial(counts.astype(np.int64), 0.5)
        left, right = (target.forward(2.0 * part, depth) for part in (first, counts - first))
        half.append(np.nan_to_num(pearson(left, right)))
    r = np.clip(np.mean(half, axis=0), 0.0, 1.0)
    return np.clip(2 * r / (1 + r), 0.01, 1.0)


@contextmanager
def reliability_is(values: Array) -> Iterator[None]:
    """Give cokriging the reliability of another scale; it computes that of log1p(CP10k)."""
    usual = standardise.reliability
    standardise.reliability = lambda *_, **__: values  # type: ignore[assignment]
    try:
        yield
    finally:
        standardise.reliability = usual


def scores_of(truth: Array, prediction: Array, depth: Array) -> tuple[float, float, float]:
    """Return mean r, mean r given depth, and the mean squared error."""
    given_depth = np.nan_to_num(partial_correlation(truth, prediction, depth)).mean()
    return mean_pcc(truth, prediction), float(given_depth), float(((truth - prediction) ** 2).mean())


def rows_of(section: hs.Section, seed: int, compute: hs.Compute) -> dict[str, tuple[float, float, float]]:
    """Return the scores of every target, and of depth alone."""
    divided = divide(section, seed=seed, compute=compute)
    study, samples = divided.study, divided.training
    columns = section.columns(samples.genes)
    counts = np.asarray(section.counts[:, columns].toarray(), dtype=np.float64)
    depth = log_depth(np.asarray(section.counts.sum(axis=1)).ravel())
    fitted, fitted_depth = counts[study.training], depth[study.training]
    kriged = depth_at_test(divided)
    mean_depth = np.full(len(study.test), fitted_depth.mean())
    truth, test_depth = divided.truth, depth[study.test]
    alone = predict(Depth().fit(samples), divided.test).mean.astype(np.float64)
    rows = {"depth alone": scores_of(truth, alone, test_depth)}
    for name, make in TARGETS.items():
        target = make(fitted, fitted_depth)
        values = target.forward(fitted, fitted_depth)
        # predictions are cut at 0, which is the smallest value of the default scale only
        floor = 0.0 if make in (default, regression) else float(values.min()) - 100.0
        with reliability_is(reliability_of(target, fitted, fitted_depth)):
            predictor = hs.Recipe().build().fit(replace(samples, expression=values - floor), seed=seed)
        predicted = predict(predictor, divided.test).mean.astype(np.float64) + floor
        rows[name] = scores_of(truth, target.inverse(predicted, mean_depth), test_depth)
        if make in (regression, pearson_residuals):
            rows[f"{name}, at kriged depth"] = scores_of(truth, target.inverse(predicted, kriged), test_depth)
    return rows


def depth_at_test(divided: DividedSection) -> Array:
    """Return the log depth of the test spots, kriged from the training spots."""
    samples = divided.training
    alone = replace(samples, expression=log_depth(samples.depth)[:, None], genes=np.array(["depth"]))
    return predict(Kriging().fit(alone), divided.test).mean[:, 0].astype(np.float64)


def main() -> None:
    arguments = arguments_of(__doc__, seeds=[0, 1, 2]).parse_args()
    compute = hs.Compute(store=arguments.store)
    for path in arguments.sections:
        section = hs.read(path)
        runs = [rows_of(section, seed, compute) for seed in arguments.seeds]
        print(f"\n| {section.name} | r | r given depth | MSE |\n|---|--:|--:|--:|")
        for name in runs[0]:
            values = np.array([run[name] for run in runs])
            cells = [f"{mean:.4f} ± {sd:.4f}" for mean, sd in zip(values.mean(0), values.std(0), strict=True)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
