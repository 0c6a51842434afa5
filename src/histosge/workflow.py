"""The story of a run: prepare what a model looks at, fit it, predict at any places."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ._device import Precision
from ._errors import UsageError
from ._hash import fingerprint
from .encoders import load_encoder
from .encoders._contract import Encoder, Setup
from .expression import depth, log_cp10k
from .features import embed
from .genes import GenePanel, select
from .inputs import Inputs, Samples
from .locations import Locations, at_spots
from .models import _artefact
from .models._contract import Model, Needs, Predictor, Runtime, predict
from .patches import PatchSource
from .prediction import Prediction
from .recipe import Recipe
from .section import Section
from .slide import SlideImage
from .store import FeatureStore

__all__ = ["Fitted", "Machine", "eyes", "fit", "load_fit", "measure", "predict_at", "prepare"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and how to compute; none of it decides what is computed.

    Parameters
    ----------
    device, precision
        Resolved device, and ``"fp32"`` or ``"bf16"``.
    weights
        Local file of the encoder's weights instead of the hub's.
    store
        Folder in which features are kept and reused; ``None`` computes them in memory.
    report
        Called with (done, total, text) as work proceeds.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    weights: Path | None = None
    store: Path | None = None
    report: Callable[[int, int, str], None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A predictor with all that is needed to use it again.

    Parameters
    ----------
    recipe
        What was asked.
    model, predictor
        The configured model and what it learnt.
    encoder
        The eyes it was fitted with; ``None`` for models that do not look.
    panel
        The genes it predicts.
    key
        Hash of recipe, section and encoder: equal keys, equal fits.
    """

    recipe: Recipe
    model: Model
    predictor: Predictor
    encoder: Encoder | None
    panel: GenePanel
    key: str


def fit(
    section: Section, recipe: Recipe, machine: Machine = Machine(), *, folder: Path | None = None
) -> Fitted:
    """Fit the recipe's model to all spots of a section.

    Parameters
    ----------
    section
        What was measured.
    recipe
        What to fit.
    machine
        Where.
    folder
        Where to keep the fit. A fit of the same recipe to the same data found there is loaded instead of
        repeated, and an interrupted one goes on.
    """
    model = recipe.build()
    encoder = eyes(section, recipe, model.needs, machine)
    panel = select(section, recipe.genes)
    key = fingerprint(recipe, section.fingerprint, None if encoder is None else encoder.fingerprint)
    if folder is not None and _artefact.is_saved(folder / key):
        model, predictor = _artefact.load(folder / key)
        return Fitted(recipe, model, predictor, encoder, panel, key)
    samples = measure(section, panel, prepare(section, at_spots(section), model.needs, encoder, machine))
    checkpoint = None if folder is None else folder / f"{key}.checkpoint"
    runtime = Runtime(machine.device, machine.precision, checkpoint, machine.report)
    predictor = model.fit(samples, seed=recipe.seed, runtime=runtime)
    if folder is not None:
        _artefact.save(folder / key, model, predictor)
        recipe.write(folder / "recipe.json")
        # the fit is whole: what would have resumed it is done with
        shutil.rmtree(folder / f"{key}.checkpoint", ignore_errors=True)
    return Fitted(recipe, model, predictor, encoder, panel, key)


def load_fit(section: Section, folder: str | Path, machine: Machine = Machine()) -> Fitted:
    """Return the fit to ``section`` that :func:`fit` kept in ``folder``.

    Raises
    ------
    UsageError
        When there is none, or when it was fitted to other data.
    """
    folder = Path(folder)
    recipe = Recipe.read(folder / "recipe.json")
    model = recipe.build()
    encoder = eyes(section, recipe, model.needs, machine)
    key = fingerprint(recipe, section.fingerprint, None if encoder is None else encoder.fingerprint)
    if not _artefact.is_saved(folder / key):
        raise UsageError(
            f"The fit in '{folder}' belongs to other data, another image or other weights than those given. "
            "Give the section it was fitted to, or run `histosge fit` on this one."
        )
    model, predictor = _artefact.load(folder / key)
    return Fitted(recipe, model, predictor, encoder, select(section, recipe.genes), key)


def predict_at(
    fitted: Fitted, section: Section, places: Locations, machine: Machine = Machine()
) -> Prediction:
    """Predict at ``places``, in memory."""
    inputs = prepare(section, places, fitted.model.needs, fitted.encoder, machine)
    return predict(fitted.predictor, inputs)


def eyes(section: Section, recipe: Recipe, needs: Needs, machine: Machine) -> Encoder | None:
    """Return the encoder the recipe names, looking at the window the model asks for; ``None`` where none is needed."""
    if not needs.features:
        return None
    slide_of(section, recipe.model)
    setup = Setup(machine.device, machine.precision, machine.weights)
    return load_encoder(recipe.encoder, setup, view_um=recipe.view_um or _crop_um(section, needs))


def prepare(
    section: Section, places: Locations, needs: Needs, encoder: Encoder | None, machine: Machine = Machine()
) -> Inputs:
    """Look at ``places`` the way a model needs: encoder features, mean colour, raw patches.

    Raises
    ------
    UsageError
        When the model looks at the image and the section has none.
    """
    inputs = Inputs(places)
    store = None if machine.store is None else FeatureStore(machine.store)
    order = "rgb" if needs.crop is None else needs.crop.channel_order
    if encoder is not None:
        slide = slide_of(section, encoder.card.name)
        rows = embed(slide, places.xy, encoder, store=store, channel_order=order, report=machine.report)
        inputs = replace(inputs, features=rows)
    crop_um = _crop_um(section, needs) or section.pitch_um
    if needs.colour:
        slide = slide_of(section, "the colour feature")
        colour = embed(
            slide, places.xy, load_encoder("colour", view_um=crop_um), store=store, report=machine.report
        )
        inputs = replace(inputs, colour=np.asarray(colour[:], dtype=np.float64))
    if needs.patch_px is not None:
        slide = slide_of(section, "the network on patches")
        inputs = replace(inputs, patches=PatchSource(slide, places.xy, crop_um, needs.patch_px, order))
    return inputs


def measure(section: Section, panel: GenePanel, inputs: Inputs) -> Samples:
    """Join what was measured at the spots to what is seen there."""
    expression = log_cp10k(section.counts, columns=panel.columns).toarray()
    return Samples(inputs, expression, panel.names, depth(section.counts))


def slide_of(section: Section, reader: str) -> SlideImage:
    """Return the section's image, or say who needed it."""
    if section.slide is None:
        raise UsageError(
            f"'{reader}' looks at the tissue image, but section '{section.name}' has none. Give it with --image, or "
            "choose a model that uses positions alone: --preset positions."
        )
    return section.slide


def _crop_um(section: Section, needs: Needs) -> float | None:
    """Return the width of the window a model asks for, in µm."""
    crop = needs.crop
    if crop is None:
        return None
    return crop.size_um if crop.size_px is None else crop.size_px * section.mpp
