"""The command ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from histosge._runtime.messages import Message
from histosge.errors import UsageError

from .command import command
from .encoder_values import patch_widths
from .options import (
    ComputeOptions,
    DepthAdjusted,
    Out,
    PatchUm,
    ProgramOptions,
    ReplyOptions,
    Weights,
    assignments,
    words,
)
from .recipe import refuse_other_files
from .score_tables import run_fine_truth, run_plan
from .screen import Progress, show_messages

__all__ = ["evaluate"]


@command("Evaluate", order=0)
def evaluate(
    program_options: ProgramOptions,
    compute_options: ComputeOptions,
    reply_options: ReplyOptions,
    progress: Progress,
    sections: Annotated[
        list[Path] | None, typer.Argument(metavar="SECTION…", help="As for `histosge run`.")
    ] = None,
    models: Annotated[
        str,
        typer.Option(help="Separated by commas: histosge,ridge,histosge:published. Baselines always run."),
    ] = "cokriging",
    presets: Annotated[
        str | None, typer.Option(help="Presets, separated by commas, for those models that have them.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="random:0.5, published, blocks:6, sublattice:3, sections or patients.")
    ] = "random:0.5",
    patients: Annotated[
        str | None,
        typer.Option(
            help="The patient of each section, in their order: A,A,B. The split `patients` needs it."
        ),
    ] = None,
    auxiliary: Annotated[
        bool, typer.Option("--auxiliary", help="Fit all other sections too, beside the training spots.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, 2 …")] = 3,
    genes: Annotated[str, typer.Option(help="hvg:N, all, or a FILE with one name a line.")] = "hvg:1000",
    encoder: Annotated[
        str, typer.Option(help="One or more, separated by commas; joined ones as texture+uni.")
    ] = "texture",
    weights: Weights = None,
    patch_um: PatchUm = None,
    image: Annotated[Path | None, typer.Option(help="Full-resolution image, of a single section.")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="µm per full-resolution pixel, of a single section.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the models that have it."),
    ] = None,
    depth_adjusted: DepthAdjusted = False,
    jobs: Annotated[int, typer.Option(help="Processes; each takes the memory of one.")] = 1,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Cells or fine bins: models are scored below the scale of spots. Without SECTION, spots are made of "
            "half of their molecules, and the other half is scored with; with one, its measured spots are fitted.",
            rich_help_panel="Finer truth",
        ),
    ] = None,
    registration: Annotated[
        Path | None,
        typer.Option(
            help="File with a 3 × 3 matrix from µm of SECTION to µm of the truth; by default they share a frame.",
            rich_help_panel="Finer truth",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="Of the spots: visium, wide, legacy, or KIND:PITCH:DIAMETER in µm.",
            rich_help_panel="Finer truth",
        ),
    ] = "visium",
    widths_um: Annotated[
        str | None,
        typer.Option(help="Widths of bins in µm: 10,25,50,100.", rich_help_panel="Finer truth"),
    ] = None,
    median_depth: Annotated[
        float | None,
        typer.Option(
            help="Median molecules of a spot; molecules are thinned to it.", rich_help_panel="Finer truth"
        ),
    ] = None,
    out: Out = Path("histosge-scores"),
) -> None:
    """Score models at test spots, beside the baselines, with an audit of every fit."""
    compute, widths = compute_options.compute(weights, progress), patch_widths(patch_um)
    refuse_other_files(compute.weights, words(encoder))
    if truth is not None:
        changed = [split != "random:0.5", genes != "hvg:1000", jobs != 1, program_options.programs]
        _refuse_with_truth([presets, patients, auxiliary, *changed])
        recipes = _with_encoders(_recipes(models, None, assignments(set_)), encoder, widths)
        recipes = [replace(recipe, depth_adjusted=depth_adjusted) for recipe in recipes]
        options = {
            "layout": _spots(sections, layout, image, mpp, registration),
            "widths_um": _numbers(widths_um),
            "median_depth": median_depth,
            "seeds": seeds,
        }
        run_fine_truth(truth, recipes, out=out, compute=compute, as_json=reply_options.json, **options)
        return
    plan = _plan(
        _specs(sections, patients, image, mpp, split=split),
        _recipes(models, presets, assignments(set_)),
        split=split,
        seeds=seeds,
        encoder=encoder,
        genes=genes,
        auxiliary=auxiliary,
        programs=tuple(program_options.programs or ()),
        patch_um=widths,
        depth_adjusted=depth_adjusted,
    )
    run_plan(plan, out, compute, jobs, as_json=reply_options.json)


def _plan(
    specs: tuple[Any, ...], recipes: tuple[Any, ...], *, split: str, seeds: int, encoder: str, **settings: Any
) -> Any:
    """Return the plan of one split."""
    from histosge.evaluation.evaluate import seeds_of
    from histosge.evaluation.plan import Plan

    return Plan(specs, recipes, splits=(split,), seeds=seeds_of(seeds), encoders=words(encoder), **settings)


def _specs(
    sections: list[Path] | None, patients: str | None, image: Path | None, mpp: float | None, *, split: str
) -> tuple[Any, ...]:
    """Return what to read of each section."""
    from histosge.evaluation.plan import SectionSpec

    if not sections:
        raise UsageError("Expected `sections`, or cells or fine bins as `truth`; got none.")
    if len(sections) > 1 and (image is not None or mpp is not None):
        raise UsageError("`image` and `mpp` belong to one section; for several, write a plan.")
    if patients is not None and split != "patients":
        show_messages([Message("warning", "`patients` is not used: only the split patients needs it.")])
    return tuple(
        SectionSpec(path, _name(path, sections), image=image, mpp=mpp, patient=patient)
        for path, patient in zip(sections, _patients(patients, len(sections)), strict=True)
    )


def _spots(
    sections: list[Path] | None, layout: str, image: Path | None, mpp: float | None, registration: Path | None
) -> Any:
    """Return the layout of the spots that are made of a truth, or the measured spots of a section."""
    if not sections:
        options = {"image": image, "mpp": mpp, "registration": registration}
        if names := [name for name, value in options.items() if value is not None]:
            raise UsageError(
                f"`{names[0]}` belongs to a section beside `truth`, and there is none. Name one, or leave it out."
            )
        return layout
    from histosge.evaluation.fine_truth.measured_spots import MeasuredSpots, read_registration
    from histosge.io.readers import read

    if len(sections) > 1 or layout != "visium":
        what = "`layout`" if layout != "visium" else "a second section"
        raise UsageError(f"With `truth` and a section its own spots are fitted; {what} has no meaning then.")
    section = read(sections[0], image=image, mpp=mpp)
    show_messages(list(section.messages))
    return MeasuredSpots(section, *([] if registration is None else [read_registration(registration)]))


def _refuse_with_truth(typed: list[Any]) -> None:
    """Refuse options that have no meaning for a finer truth; ``typed`` says which were given, in this order."""
    names = (
        "presets",
        "patients",
        "auxiliary",
        "split",
        "genes",
        "jobs",
        "programs",
    )
    if changed := [name for name, value in zip(names, typed, strict=True) if value]:
        raise UsageError(
            f"`{changed[0]}` has no meaning with `truth`, which is scored with below the scale of spots. Leave it out."
        )


def _with_encoders(recipes: Sequence[Any], encoders: str, patch_um: Any) -> list[Any]:
    """Return every recipe with every encoder, and with those of the widths that are its own."""
    from histosge.evaluation.plan import own_widths

    return [
        replace(recipe, encoder=encoder, patch_um=own_widths(patch_um, encoder))
        for recipe in recipes
        for encoder in words(encoders)
    ]


def _numbers(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(word) for word in words(text))
    except ValueError:
        raise UsageError(f"Expected `widths_um` as numbers separated by commas, got '{text}'.") from None


def _name(path: Path, sections: list[Path]) -> str:
    """Return a name that distinguishes folders of one name (`outs`); empty where the section's own name does."""
    same_name = [other for other in sections if other.resolve().name == path.resolve().name]
    return "/".join(path.resolve().parts[-2:]) if len(same_name) > 1 else ""


def _patients(text: str | None, number: int) -> tuple[str, ...]:
    """Return the patient of each section; empty names where none are given."""
    if text is None:
        return ("",) * number
    patients = words(text)
    if len(patients) != number:
        raise UsageError(
            f"`patients` names the patient of each of {number} sections, got {len(patients)} names."
        )
    return patients


def _recipes(models: str, presets: str | None, options: dict[str, Any]) -> tuple[Any, ...]:
    """Return the models in each preset that they have, each with those of the options that it has."""
    from dataclasses import fields

    from histosge.models import MODELS
    from histosge.models import presets as presets_of
    from histosge.workflow.recipe import Recipe

    recipes = []
    used: set[str] = set()
    requested = words(presets or "")
    for word in words(models):
        plain = Recipe.parse(word)
        names = {item.name for item in fields(MODELS[plain.model])}
        own = {name: value for name, value in options.items() if name in names}
        used |= set(own)
        chosen = () if plain.preset else tuple(name for name in requested if name in presets_of(plain.model))
        recipes += [Recipe(plain.model, preset, own) for preset in (chosen or (plain.preset,))]
    if unknown := [name for name in requested if name not in {recipe.preset for recipe in recipes}]:
        raise UsageError(f"None of the models, as they are asked for, has a preset '{unknown[0]}'.")
    if unused := set(options) - used:
        raise UsageError(f"None of the models has an option '{min(unused)}'.")
    return tuple(recipes)
