"""How often a network forgets its training spots once it knows them, and where the last epoch finds it.

    python benchmarks/error_jumps.py ../shared/data/her2st/C2 [--model histosge:paper] [--seeds 0 1]

Half of the spots are fitted with the model's own number of epochs. A jump is a mean squared error at the training spots
more than ten times the smallest so far, after the first hundred epochs; those that follow within five belong to it.
"""

from __future__ import annotations

import numpy as np
from divided_section import DividedSection, arguments_of, divide

import histosge as hs
from histosge.models import predict
from histosge.models.base import Predictor, Runtime

_FIRST, _FACTOR, _TOGETHER = 100, 10.0, 5


def jumps(error: np.ndarray) -> list[int]:
    """Return the epochs at which a jump begins."""
    high = np.flatnonzero(error > _FACTOR * np.minimum.accumulate(error)) + 1
    high = high[high > _FIRST]
    return [int(epoch) for epoch in high[np.diff(high, prepend=-_TOGETHER - 1) > _TOGETHER]]


def errors_of(divided: DividedSection, model: str, seed: int) -> np.ndarray:
    """Return the mean squared error at the training spots after each epoch."""
    errors: list[float] = []

    def record(epoch: int, fitted: Predictor) -> None:
        error = predict(fitted, divided.training.inputs).mean - divided.training.expression
        errors.append(float((error.astype(np.float64) ** 2).mean()))

    hs.Recipe.parse(model).build().fit(divided.training, seed=seed, runtime=Runtime(watch=record))
    return np.array(errors)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--model", default="histosge:paper")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    for path in arguments.sections:
        divided = divide(hs.read(path), hs.Recipe.parse(arguments.model), seed=0)
        for seed in arguments.seeds:
            error = errors_of(divided, arguments.model, seed)
            print(
                f"{path.name}, seed {seed}: {len(error)} epochs, jumps at {jumps(error)}, "
                f"highest {error[_FIRST:].max(initial=0.0):.2g}, smallest {error.min():.2g}, last {error[-1]:.2g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
