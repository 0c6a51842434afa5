"""The published HisToSGE on 1024 random projections of the texture features: as wide as UNI, from the same statistics.

    python benchmarks/wide_features.py ../shared/data/crc16 --seeds 0 [--epochs 20]

The size of the published network depends on the width of its input. A random half of the spots are test spots.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from divided_section import arguments_of, divide

import histosge as hs
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.section.inputs import Inputs

WIDTH = 1024


def projected(inputs: Inputs) -> Inputs:
    """Return the inputs with standardised features, projected at random."""
    features = np.asarray(inputs.features[:])  # type: ignore[index]
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    axes = np.random.default_rng(0).normal(size=(features.shape[1], WIDTH)) / features.shape[1] ** 0.5
    return replace(inputs, features=(features @ axes).astype(np.float32))


def scores(section: hs.Section, recipe: hs.Recipe, seed: int, compute: hs.Compute) -> tuple[float, ...]:
    """Return the correlation at test spots, the fraction of undefined genes, and the pooled correlation."""
    divided = divide(section, recipe, seed=seed, compute=compute)
    inputs = projected(divided.inputs)
    samples = replace(divided.training, inputs=inputs.take(divided.study.training))
    prediction = predict(recipe.build().fit(samples, seed=seed), inputs).mean
    test = pearson(divided.truth, prediction[divided.study.test])
    pooled = pearson(divided.expression, prediction)
    return float(np.nan_to_num(test).mean()), float(np.isnan(test).mean()), float(np.nanmean(pooled))


def main() -> None:
    parser = arguments_of(__doc__, seeds=[0])
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    recipe = hs.Recipe("histosge", "published", {"epochs": arguments.epochs})
    print("| section | test | undefined genes | pooled |\n|---|--:|--:|--:|")
    for path in arguments.sections:
        section, compute = hs.read(path), hs.Compute(store=arguments.store)
        rows = [scores(section, recipe, seed, compute) for seed in arguments.seeds]
        test, undefined, pooled = np.mean(rows, axis=0)
        print(f"| {section.name} | {test:.3f} | {undefined:.0%} | {pooled:.2f} |", flush=True)


if __name__ == "__main__":
    main()
