"""What every model keeps, whatever it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from histosge._runtime.types import Array
from histosge.datasets.synthetic import synthetic
from histosge.evaluation.audit import audit
from histosge.evaluation.study import Study
from histosge.models import Model, Predictor, build_model, predict
from histosge.section.genes import select
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots, upsampled
from histosge.section.multi_section import samples_of
from histosge.section.section import Section
from histosge.workflow.compute import Compute
from histosge.workflow.encode import encode, encoder_for
from histosge.workflow.recipe import Recipe

from .property_error import expect, in_a_sentence, naming

__all__ = ["MODEL_PROPERTIES", "ModelCase", "check_model"]

_SEED = 3
# whose sum of rounding errors depends on the rows that are computed together
_ROUNDING = 1e-4
_FEW = 12


@dataclass(frozen=True, eq=False)
class ModelCase:
    """A model with what it is fitted to, and locations to predict.

    Parameters
    ----------
    model
        A configuration.
    section
        What it is fitted to.
    samples
        All genes at its spots.
    inputs
        Some locations between them.
    """

    model: Model
    section: Section
    samples: Samples
    inputs: Inputs

    @classmethod
    def of(cls, model: Model, *, section: Section | None = None, encoder: str = "texture") -> ModelCase:
        """Prepare a small synthetic section, or another one, as the model wants to see it."""
        is_own = section is None
        section = synthetic(columns=9, rows=9, genes=18).section if section is None else section
        recipe, needs = Recipe(encoder=encoder), model.needs
        built = encoder_for(section, recipe, needs=needs, compute=Compute())
        locations = upsampled(section, 3)
        locations = locations.take(np.arange(0, len(locations), 2))
        inputs, spots = (
            encode(section, where, needs=needs, encoder=built) for where in (locations, at_spots(section))
        )
        samples = samples_of(section, select(section, "all"), spots)
        if is_own:
            # the synthetic tissue has no pattern of depth, which a model may read
            samples = replace(samples, depth=samples.depth * np.exp(section.spots.xy[:, 0] / 500))
        return cls(model, section, samples, inputs)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.card.name

    @cached_property
    def fitted(self) -> Predictor:
        """A fit to all spots."""
        with naming(self.name, "A model can be fitted to a small section."):
            return self.model.fit(self.samples, seed=_SEED)

    @cached_property
    def mean(self) -> Array:
        """What it predicts at the locations."""
        return predict(self.fitted, self.inputs).mean


def card(case: ModelCase) -> None:
    """Check that the card has a name and a sentence; the configuration is frozen and fit for JSON."""
    model, name = case.model, case.name
    expect(isinstance(model, Model), name, "A model has card, needs, fit and restore.", type(model).__name__)
    expect(name and name == name.strip(), name, "The card has a name.", repr(name))
    summary = model.card.summary
    expect(summary.endswith("."), name, "The summary of the card is a sentence.", repr(summary))
    parameters = getattr(type(model), "__dataclass_params__", None)
    is_frozen = parameters is not None and parameters.frozen
    expect(is_frozen, name, "A model is a frozen dataclass.", type(model).__name__)
    with naming(name, "The options of a model are fit for JSON."):
        json.dumps(dataclasses.asdict(model))  # type: ignore[call-overload]
    seen = (case.inputs.features, case.inputs.patches, case.inputs.colour)
    reads = any(part is not None for part in seen)
    expect(
        reads == model.uses_image,
        name,
        "`uses_image` says whether `needs` asks for the image.",
        model.uses_image,
    )


def complete(case: ModelCase) -> None:
    """Check that every location is predicted once, by finite values with positive standard deviations."""
    name, times = case.name, np.zeros(len(case.inputs), dtype=int)
    genes = [str(gene) for gene in case.fitted.genes]
    expect(
        genes == [str(gene) for gene in case.samples.genes],
        name,
        "The genes are those of the samples.",
        genes[:5],
    )
    for rows, mean, sd in case.fitted.blocks(case.inputs):
        times[rows] += 1
        expect((np.diff(rows) > 0).all(), name, "The rows of a block ascend.", rows[:5])
        expect(mean.shape == (len(rows), len(genes)), name, "A block is locations × genes.", mean.shape)
        expect(
            np.isfinite(mean).all(), name, "Predictions are finite.", f"{(~np.isfinite(mean)).sum()} are not"
        )
        if sd is not None:
            expect(sd.shape == mean.shape, name, "Standard deviations have the shape of the means.", sd.shape)
            expect((sd > 0).all(), name, "Standard deviations are positive.", float(sd.min()))
    expect((times == 1).all(), name, "Every location is predicted once.", sorted(set(times.tolist())))
    with naming(name, "The summary of a fit is fit for JSON."):
        json.dumps(dict(case.fitted.summary()))


def same_seed(case: ModelCase) -> None:
    """Check that fitting again with the same seed predicts the same bits."""
    again = predict(case.model.fit(case.samples, seed=_SEED), case.inputs).mean
    difference = np.abs(again - case.mean).max()
    sentence = "The same seed gives the same bits. Draw every random number from `seed`."
    expect(np.array_equal(again, case.mean), case.name, sentence, f"a difference of {difference:g}")


def restored(case: ModelCase) -> None:
    """Check that a predictor that is rebuilt of its arrays and its summary predicts the same bits."""
    name = case.name
    arrays = {key: np.array(value) for key, value in case.fitted.arrays().items()}
    odd = [key for key, value in arrays.items() if value.dtype.kind not in "biuf"]
    expect(not odd, name, "The arrays of a fit hold numbers.", odd)
    with naming(name, "A fit is rebuilt of its arrays, and of its summary as JSON."):
        summary = json.loads(json.dumps(dict(case.fitted.summary())))
        again = case.model.restore(case.fitted.genes, arrays, summary)
        rebuilt, before = predict(again, case.inputs), predict(case.fitted, case.inputs)
    sentence = "A restored fit predicts the same bits: all it needs is in `arrays` and `summary`."
    difference = np.abs(rebuilt.mean - before.mean).max()
    expect(np.array_equal(rebuilt.mean, before.mean), name, sentence, f"a difference of {difference:g}")
    if before.sd is not None:
        expect(rebuilt.sd is not None and np.array_equal(rebuilt.sd, before.sd), name, sentence, "other sd")


def location_alone(case: ModelCase) -> None:
    """Check that a location is predicted the same whatever else is predicted, in any order; unless `joint`."""
    if case.model.joint:
        return
    name, rng = case.name, np.random.default_rng(0)
    some = rng.permutation(len(case.inputs))[: len(case.inputs) // 3]
    part = predict(case.fitted, case.inputs.take(some)).mean
    difference = float(np.abs(part - case.mean[some]).max())
    sentence = (
        "A prediction depends on its location alone, not on the others or their order; else `joint` is True."
    )
    expect(
        difference <= _ROUNDING * max(1.0, float(np.abs(case.mean).max())), name, sentence, f"{difference:g}"
    )


def uses(case: ModelCase) -> None:
    """Check that predictions depend on image and position as ``uses_image`` and ``uses_position`` say."""
    name, inputs = case.name, case.inputs
    shuffled = np.random.default_rng(0).permutation(len(inputs))
    points = replace(inputs.locations.points, xy=inputs.locations.xy[shuffled])
    moved = replace(inputs.locations, points=points, lattice_xy=inputs.locations.lattice_xy[shuffled])
    same = np.allclose(predict(case.fitted, replace(inputs, locations=moved)).mean, case.mean)
    sentence = "`uses_position` says whether predictions depend on position."
    expect(same is not case.model.uses_position, name, sentence, f"uses_position {case.model.uses_position}")
    if case.model.uses_image:
        other = predict(case.fitted, another_image(inputs)).mean
        sentence = "`needs` asks for the image, and another image changes predictions."
        expect(not np.allclose(other, case.mean), name, sentence, "the same predictions")


def few_spots(case: ModelCase) -> None:
    """Check that a dozen spots can be fitted; a single one can, or is refused in a sentence."""
    with naming(case.name, "A dozen spots are enough to fit."):
        few = predict(case.model.fit(case.samples.take(np.arange(_FEW))), case.inputs).mean
    expect(
        np.isfinite(few).all(), case.name, "Predictions of a fit to a dozen spots are finite.", "some are not"
    )
    in_a_sentence(
        case.name, lambda: case.model.fit(case.samples.take(np.arange(1))), when="With a single spot"
    )


def no_leak(case: ModelCase) -> None:
    """Check that the audit of an evaluation finds nothing that depends on the test spots."""
    study = Study.of(case.section, genes="all")
    spots = case.samples.inputs
    leaks = audit(study, case.model, spots)
    expect(not leaks, case.name, "No fit depends on test spots.", " ".join(leak.message for leak in leaks))


def unchanged(case: ModelCase) -> None:
    """Check that fitting and predicting change neither samples nor inputs."""
    samples, expression = case.samples, np.array(case.samples.dense_expression)
    predict(case.model.fit(samples, seed=_SEED), case.inputs)
    same = np.array_equal(expression, samples.dense_expression)
    expect(same, case.name, "A fit leaves the samples as they are.", "expression that was changed")


#: each is a function of a case that raises a ``PropertyError`` where the property does not hold
MODEL_PROPERTIES: Mapping[str, Callable[[ModelCase], None]] = {
    check.__name__: check
    for check in (
        *(card, complete, same_seed, restored, location_alone, uses, few_spots, no_leak, unchanged),
    )
}


def check_model(
    model: Model | str, *, section: Section | None = None, encoder: str = "texture", **options: Any
) -> None:
    """Check that a model has the properties that the models of this package have.

    They are: a card; complete, finite predictions; the same bits with the same seed, and after saving; predictions that
    depend on their location alone (unless the model says ``joint``), and on image and position as ``uses_image`` and
    ``uses_position`` say; fits to a dozen spots; samples that stay as they were; and no leak of test spots
    (:func:`histosge.evaluation.audit.audit`). Nothing is said about accuracy.

    Parameters
    ----------
    model
        A configuration that is fitted in seconds, or the name of a registered model.
    section
        What it is fitted to; a small synthetic one by default, with an image.
    encoder
        Of the image features.
    options
        Of a model given by its name, such as ``epochs=3``.

    Raises
    ------
    PropertyError
        For the first property that does not hold, with what was seen.

    Examples
    --------
    >>> from histosge.testing import check_model
    >>> check_model("idw", neighbours=4)
    """
    built = build_model(model, None, **options) if isinstance(model, str) else model
    case = ModelCase.of(built, section=section, encoder=encoder)
    for check in MODEL_PROPERTIES.values():
        check(case)


def another_image(inputs: Inputs) -> Inputs:
    """Return the same locations, each with what is seen at another one."""
    shuffled = np.random.default_rng(0).permutation(len(inputs))
    if inputs.patches is not None:
        return replace(inputs, patches=inputs.patches.take(shuffled))
    other = inputs
    if inputs.features is not None:
        other = replace(inputs, features=np.asarray(inputs.features[np.arange(len(inputs))])[shuffled])
    return other if inputs.colour is None else replace(other, colour=np.asarray(inputs.colour)[shuffled])
