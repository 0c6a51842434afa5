"""The story of a run: prepare what a model looks at, fit it, predict at any places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.device import Precision
from histosge._runtime.hashing import fingerprint
from histosge.encoders import load_encoder
from histosge.encoders.base import Encoder, Setup
from histosge.encoders.embed import embed
from histosge.encoders.feature_store import FeatureStore
from histosge.errors import DataError, UsageError
from histosge.images.patches import PatchSource
from histosge.images.slide import SlideImage
from histosge.models import saving as _artefact
from histosge.models.base import AdaptivePredictor, Model, Needs, Predictor, Runtime, predict
from histosge.prediction.prediction import Prediction
from histosge.section.genes import GenePanel, select
from histosge.section.inputs import Inputs, concatenated, in_section
from histosge.section.locations import Locations, at_spots
from histosge.section.multi_section import AuxiliarySection, Pool, measure
from histosge.section.section import Section

from .origin import Origin
from .recipe import Recipe
from .section_accuracy import Elsewhere

__all__ = [
    "Compute",
    "Fitted",
    "checked_in",
    "eyes",
    "fit",
    "load_elsewhere",
    "load_fit",
    "look",
    "measure",
    "predict_at",
    "predict_unseen",
    "prepare",
    "prepare_all",
    "refuse_blind",
    "sighted",
]

_RECIPE, _SIBLINGS = "recipe.json", "siblings.json"


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and how to compute; none of it decides what is computed.

    Parameters
    ----------
    device, precision
        Resolved device, and ``"fp32"`` or ``"bf16"``.
    weights
        Local file of the encoder's weights instead of the hub's.
    store
        Folder in which features are kept and reused; ``None`` computes them in memory.
    progress
        Called with (done, total, text) as work proceeds.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    weights: Path | None = None
    store: Path | None = None
    progress: Callable[[int, int, str], None] | None = None


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
        Hash of recipe, sections and encoder: equal keys, equal fits.
    auxiliary
        Further sections that were fitted.
    origin
        The section that was fitted first.
    unseen
        Whether a section is predicted that is none of those fitted.
    elsewhere
        How its genes fare in such a section, where that was looked at.
    """

    recipe: Recipe
    model: Model
    predictor: Predictor
    encoder: Encoder | None
    panel: GenePanel
    key: str
    auxiliary: tuple[AuxiliarySection, ...] = ()
    origin: Origin | None = None
    unseen: bool = False
    elsewhere: Elsewhere | None = None


def fit(
    section: Section,
    recipe: Recipe,
    compute: Compute = Compute(),
    *,
    auxiliary: Sequence[Section] = (),
    folder: Path | None = None,
) -> Fitted:
    """Fit the recipe's model to all spots of a section, and of others like it.

    Parameters
    ----------
    section
        What was measured.
    recipe
        What to fit.
    compute
        Where.
    auxiliary
        Sections of like tissue to borrow strength from. The genes are chosen on ``section``, among those that all
        have; features are looked up with one encoder.
    folder
        Where to keep the fit. A fit of the same recipe to the same data found there is loaded instead of
        repeated, and an interrupted one goes on.

    Raises
    ------
    UsageError
        Where the sections have no gene in common, one has no image, or one is given twice; where nothing was measured.
    """
    model = recipe.build()
    encoder = eyes(section, recipe, model.needs, compute)
    pool = Pool.of(section, auxiliary)
    told = pool.told()
    _each_once(section, told)
    key = _key(recipe, section.fingerprint, encoder, told)
    panel = pool.choose(recipe.genes)
    origin = Origin.of(section, panel)
    if folder is not None and _artefact.is_saved(folder / key):
        _remember(folder, recipe, told, origin)
        model, predictor = _artefact.load(folder / key)
        return Fitted(recipe, model, predictor, encoder, panel, key, told, origin)
    samples = pool.gather(panel, prepare_all(pool.sections, model.needs, encoder, compute))
    checkpoint = None if folder is None else folder / f"{key}.checkpoint"
    runtime = Runtime(compute.device, compute.precision, checkpoint, compute.progress)
    predictor = model.fit(samples, seed=recipe.seed, runtime=runtime)
    if folder is not None:
        _artefact.save(folder / key, model, predictor)
        _remember(folder, recipe, told, origin)
        # the fit is whole: what would have resumed it is done with
        shutil.rmtree(folder / f"{key}.checkpoint", ignore_errors=True)
    return Fitted(recipe, model, predictor, encoder, panel, key, told, origin)


def load_fit(section: Section, folder: str | Path, compute: Compute = Compute()) -> Fitted:
    """Return the fit to ``section`` that :func:`fit` kept in ``folder``.

    Raises
    ------
    UsageError
        When there is none, or when it was fitted to other data.
    """
    folder = Path(folder)
    recipe = Recipe.read(folder / _RECIPE)
    auxiliary = _remembered(folder)
    model = recipe.build()
    encoder = eyes(section, recipe, model.needs, compute)
    key = _key(recipe, section.fingerprint, encoder, auxiliary)
    if not _artefact.is_saved(folder / key):
        raise UsageError(
            f"The fit in '{folder}' belongs to other data, another image or other weights than those given. "
            "Give the section it was fitted to, or run `histosge fit` on this one."
        )
    model, predictor = _artefact.load(folder / key)
    panel = _panel_of(predictor, section, recipe) if auxiliary else select(section, recipe.genes)
    return Fitted(recipe, model, predictor, encoder, panel, key, auxiliary, Origin.of(section, panel))


def load_elsewhere(section: Section, folder: str | Path, compute: Compute = Compute()) -> Fitted:
    """Return the latest fit in ``folder``, for :func:`sighted` to predict a section that it was not made on.

    Raises
    ------
    UsageError
        When there is none, it was made with other weights, or it does not look at images.
    """
    folder = Path(folder)
    recipe, auxiliary, origin = Recipe.read(folder / _RECIPE), _remembered(folder), Origin.read(folder)
    model = recipe.build()
    refuse_blind(model, section)
    encoder = eyes(section, recipe, model.needs, compute, mpp=origin.mpp)
    key = _key(recipe, origin.fingerprint, encoder, auxiliary)
    if not _artefact.is_saved(folder / key):
        raise UsageError(
            f"The fit in '{folder}' was made with other weights than those given, or is gone. Give them with "
            "--weights, or run `histosge fit` again."
        )
    model, predictor = _artefact.load(folder / key)
    panel = GenePanel(predictor.genes, np.arange(len(predictor.genes)), recipe.genes)
    checked = Elsewhere.read(checked_in(folder, key))
    return Fitted(recipe, model, predictor, encoder, panel, key, auxiliary, origin, elsewhere=checked)


def checked_in(folder: Path, key: str) -> Path:
    """Return where a folder of fits keeps how the genes of one fare elsewhere."""
    return folder / f"{key}.elsewhere.json"


def predict_at(
    fitted: Fitted, section: Section, places: Locations, compute: Compute = Compute()
) -> Prediction:
    """Predict at ``places`` of the section that was fitted, in memory."""
    inputs = prepare(section, places, fitted.model.needs, fitted.encoder, compute)
    return predict(fitted.predictor, inputs)


def predict_unseen(
    fitted: Fitted, section: Section, places: Locations, compute: Compute = Compute()
) -> Prediction:
    """Predict at ``places`` of a section that was not fitted, from its image alone.

    None of its counts are looked at; they may all be 0. Its spots, which may be a grid, tell how it is stained.

    Raises
    ------
    UsageError
        Where the model does not look at images: it would know nothing of the section.

    Examples
    --------
    >>> import histosge as hs
    >>> first, second, third = (hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in range(3))
    >>> fitted = hs.fit(first, hs.Recipe(genes="all"), auxiliary=[second])
    >>> hs.predict_unseen(fitted, third, hs.at_spots(third)).mean.shape == third.counts.shape
    True
    """
    there = sighted(fitted, section, compute)
    return predict(there.predictor, look(there, section, places, compute))


def sighted(fitted: Fitted, section: Section, compute: Compute = Compute()) -> Fitted:
    """Return the fit ready to predict a section that it was not made on, having looked all over it.

    Raises
    ------
    UsageError
        Where the model does not look at images.
    """
    refuse_blind(fitted.model, section)
    there = replace(fitted, unseen=True)
    predictor = fitted.predictor
    if isinstance(predictor, AdaptivePredictor):
        predictor = predictor.adapted_to(look(there, section, at_spots(section), compute))
    return replace(there, predictor=predictor)


def look(fitted: Fitted, section: Section, places: Locations, compute: Compute = Compute()) -> Inputs:
    """Return what the predictor of a fit is asked: places of the section fitted, or of one that it has not seen."""
    inputs = prepare(section, places, fitted.model.needs, fitted.encoder, compute)
    return in_section(inputs, 1 + len(fitted.auxiliary)) if fitted.unseen else inputs


def eyes(
    section: Section, recipe: Recipe, needs: Needs, compute: Compute, *, mpp: float | None = None
) -> Encoder | None:
    """Return the encoder the recipe names, looking at the window the model asks for; ``None`` where none is needed.

    Windows in pixels are those of the section, or of another one whose ``mpp`` is given.
    """
    if not needs.features:
        return None
    slide_of(section, recipe.model)
    setup = Setup(compute.device, compute.precision, compute.weights)
    return load_encoder(
        recipe.encoder, setup, patch_um=recipe.patch_um or _crop_um(mpp or section.mpp, needs)
    )


def prepare(
    section: Section, places: Locations, needs: Needs, encoder: Encoder | None, compute: Compute = Compute()
) -> Inputs:
    """Look at ``places`` the way a model needs: encoder features, mean colour, raw patches.

    Raises
    ------
    UsageError
        When the model looks at the image and the section has none.
    """
    inputs = Inputs(places)
    store = None if compute.store is None else FeatureStore(compute.store)
    order = "rgb" if needs.crop is None else needs.crop.channel_order
    if encoder is not None:
        slide = slide_of(section, encoder.card.name)
        rows = embed(slide, places.xy, encoder, store=store, channel_order=order, progress=compute.progress)
        inputs = replace(inputs, features=rows)
    crop_um = _crop_um(section.mpp, needs) or section.pitch_um
    if needs.colour:
        slide = slide_of(section, "the colour feature")
        colour = embed(
            slide, places.xy, load_encoder("colour", patch_um=crop_um), store=store, progress=compute.progress
        )
        inputs = replace(inputs, colour=np.asarray(colour[:], dtype=np.float64))
    if needs.patch_px is not None:
        slide = slide_of(section, "the network on patches")
        inputs = replace(inputs, patches=PatchSource(slide, places.xy, crop_um, needs.patch_px, order))
    return inputs


def prepare_all(
    sections: Sequence[Section], needs: Needs, encoder: Encoder | None, compute: Compute = Compute()
) -> Inputs:
    """Look at the spots of several sections in the same way, the one that is predicted first."""
    return concatenated([prepare(each, at_spots(each), needs, encoder, compute) for each in sections])


def slide_of(section: Section, reader: str) -> SlideImage:
    """Return the section's image, or say who needed it."""
    if section.slide is None:
        raise UsageError(
            f"'{reader}' looks at the tissue image, but section '{section.name}' has none. Give it with --image, or "
            "choose a model that uses positions alone: --preset positions."
        )
    return section.slide


def refuse_blind(model: Model, section: Section) -> None:
    """Refuse a model that would know nothing of a section without a fitted spot.

    Raises
    ------
    UsageError
        Where it does not look at images.
    """
    if not model.uses_image:
        raise UsageError(
            f"'{model.card.name}' interpolates between measured spots here, and none of '{section.name}' was fitted. "
            "Choose a model that looks at the image, such as cokriging."
        )


def _crop_um(mpp: float, needs: Needs) -> float | None:
    """Return the width of the window a model asks for, in µm."""
    crop = needs.crop
    if crop is None:
        return None
    return crop.size_um if crop.size_px is None else crop.size_px * mpp


def _key(
    recipe: Recipe, section: str, encoder: Encoder | None, auxiliary: tuple[AuxiliarySection, ...]
) -> str:
    """Return the hash of all that decides a fit; the section is named by its fingerprint."""
    others = [auxiliary_section.fingerprint for auxiliary_section in auxiliary]
    parts = [recipe, section, None if encoder is None else encoder.fingerprint]
    return fingerprint(*parts, *([others] if others else []))


def _each_once(section: Section, auxiliary: tuple[AuxiliarySection, ...]) -> None:
    known = {section.fingerprint, *(auxiliary_section.fingerprint for auxiliary_section in auxiliary)}
    if auxiliary and len(known) <= len(auxiliary):
        raise UsageError(f"A section is given twice among '{section.name}' and its siblings. Give each once.")


def _remember(folder: Path, recipe: Recipe, auxiliary: tuple[AuxiliarySection, ...], origin: Origin) -> None:
    """Write down what the latest fit in a folder was made of: predicting needs the target section alone."""
    recipe.write(folder / _RECIPE)
    origin.write(folder)
    with atomic_path(folder / _SIBLINGS) as draft:
        draft.write_text(json.dumps([asdict(each) for each in auxiliary], indent=2) + "\n", encoding="utf-8")


def _remembered(folder: Path) -> tuple[AuxiliarySection, ...]:
    path = folder / _SIBLINGS
    if not path.exists():
        return ()
    try:
        return tuple(AuxiliarySection(**each) for each in json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"'{path}' is damaged. Run `histosge fit` again.") from error


def _panel_of(predictor: Predictor, section: Section, recipe: Recipe) -> GenePanel:
    """Return the panel of a fit whose siblings are not at hand."""
    return GenePanel(predictor.genes, section.columns(predictor.genes), recipe.genes)
