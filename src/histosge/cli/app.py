"""The commands."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from histosge.errors import UsageError

from .options import (
    AuxiliaryOptions,
    ComputeOptions,
    FitOptions,
    LocationOptions,
    ModelOptions,
    OutputOptions,
    ReplyOptions,
    SectionOptions,
    grouped,
)
from .screen import answer, errors_as_sentences, progress_bars, show_messages, table

__all__ = ["app", "assignment"]

app = typer.Typer(
    name="histosge",
    help="High-resolution gene expression from a histology image and a spatial-transcriptomics section.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@grouped
def run(
    section_options: SectionOptions,
    auxiliary_options: AuxiliaryOptions,
    model_options: ModelOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
) -> None:
    """Read a section, fit, predict at more places than were measured, write files and figures.

    Given an image alone, fit its siblings and predict it from what it looks like.
    """
    with errors_as_sentences(as_json=reply_options.json), progress_bars() as progress:
        from histosge.workflow.run import run as run_section

        section = _read(section_options)
        record = run_section(
            section,
            _recipe(model_options),
            target=_target(location_options, section),
            out=output_options.out,
            compute=_machine(compute_options, model_options.weights, progress),
            outputs=_outputs(output_options),
            auxiliary=_siblings(section_options, auxiliary_options),
        )
        _tell(record, output_options.out, as_json=reply_options.json)


@app.command()
@grouped
def embed(
    section_options: SectionOptions,
    model_options: ModelOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
) -> None:
    """Look at the image at the places wanted and keep the features; the slow step with large encoders."""
    with errors_as_sentences(as_json=reply_options.json), progress_bars() as progress:
        from histosge.workflow.run import embed_into

        compute = _machine(compute_options, model_options.weights, progress)
        section, recipe = _read(section_options), _recipe(model_options)
        record = embed_into(
            section,
            recipe,
            target=_target(location_options, section),
            out=output_options.out,
            compute=compute,
        )
        lines = [f"{record['places']} places × {record['dim']} features in {record['store']}"]
        answer(record, as_json=reply_options.json, lines=lines)


@app.command()
@grouped
def fit(
    section_options: SectionOptions,
    auxiliary_options: AuxiliaryOptions,
    model_options: ModelOptions,
    compute_options: ComputeOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
) -> None:
    """Fit a model to a section and keep it, for `histosge predict`."""
    with errors_as_sentences(as_json=reply_options.json), progress_bars() as progress:
        from histosge.workflow.run import fit_into

        compute = _machine(compute_options, model_options.weights, progress)
        auxiliary = _siblings(section_options, auxiliary_options)
        record = fit_into(
            _read(section_options),
            _recipe(model_options),
            out=output_options.out,
            compute=compute,
            auxiliary=auxiliary,
        )
        fitted = f"fitted {len(record['genes'])} genes; kept in {output_options.out / 'fit'}"
        answer(record, as_json=reply_options.json, lines=[fitted, *_borrowed(record)])


@app.command()
@grouped
def predict(
    section_options: SectionOptions,
    fit_options: FitOptions,
    location_options: LocationOptions,
    compute_options: ComputeOptions,
    output_options: OutputOptions,
    reply_options: ReplyOptions,
) -> None:
    """Predict with a model fitted before, at other places, or an image of a section that was never measured."""
    with errors_as_sentences(as_json=reply_options.json), progress_bars() as progress:
        from histosge.workflow.run import predict_into

        section = _read(section_options)
        record = predict_into(
            section,
            fit_options.fit,
            target=_target(location_options, section),
            out=output_options.out,
            compute=_machine(compute_options, fit_options.weights, progress),
            outputs=_outputs(output_options),
        )
        _tell(record, output_options.out, as_json=reply_options.json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the section and the results.")] = Path(
        "histosge-demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed, another tissue.")] = 0,
) -> None:
    """Make a tissue whose truth is known, run the main job on it and end with a picture."""
    with errors_as_sentences(as_json=False), progress_bars() as progress:
        from histosge.workflow.demo import demo as run_demo

        record = run_demo(out, seed=seed, progress=progress)
        _tell(record, out, as_json=False)


@app.command()
def doctor(
    section: Annotated[Path | None, typer.Argument(metavar="[SECTION]", help="A section to examine.")] = None,
    image: Annotated[Path | None, typer.Option(help="Full-resolution image.")] = None,
    mpp: Annotated[float | None, typer.Option(help="µm per full-resolution pixel.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a picture of the spots on the image.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the installation, the weights, and whether an image matches its coordinates."""
    with errors_as_sentences(as_json=json):
        from histosge.workflow.doctor import examine

        checks = examine(section, image=image, mpp=mpp, out=out)
        if json:
            answer({"checks": [check.as_dict() for check in checks]}, as_json=True, lines=())
        else:
            table(
                "histosge doctor", ("check", "", "finding"), [(c.name, c.verdict, c.finding) for c in checks]
            )
        if any(check.verdict == "bad" for check in checks):
            raise SystemExit(3)


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="encoders, models, readers, metrics, datasets or domains.")],
) -> None:
    """List what there is."""
    with errors_as_sentences(as_json=False):
        from .catalogue import catalogue

        table(kind, *catalogue(kind))


@app.command()
def cite(
    names: Annotated[
        list[str] | None, typer.Argument(help="Encoders and models used; none: histosge's own.")
    ] = None,
) -> None:
    """Print the BibTeX of what was used."""
    with errors_as_sentences(as_json=False):
        from histosge.workflow.citation import citation

        typer.echo(citation(names or ()))


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """High-resolution gene expression from a histology image and a spatial-transcriptomics section."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"histosge {installed('histosge')}")
        raise typer.Exit


def _read(section_options: SectionOptions) -> Any:
    from histosge.io.readers import read

    section = read(
        section_options.section,
        image=section_options.image,
        mpp=section_options.mpp,
        reader=section_options.reader,
        bin_um=section_options.bin_um,
        library_id=section_options.library_id,
        check=not section_options.trust_alignment,
    )
    show_messages(section.messages)
    return section


def _siblings(section_options: SectionOptions, auxiliary_options: AuxiliaryOptions) -> list[Any]:
    """Read the sections to borrow from, as the first is read where that says nothing of its own image."""
    others = [
        replace(section_options, section=path, image=None, mpp=None, library_id=None)
        for path in auxiliary_options.auxiliary_section or ()
    ]
    return [_read(other) for other in others]


def _borrowed(record: dict[str, Any]) -> list[str]:
    """Return a line for each sibling: which genes it shares; of an image, what is known of it at all."""
    if not record.get("section", {}).get("measured", True):
        return [f"  {record['basis']}", *_checked(record.get("elsewhere"))]
    return [
        f"  with '{each['name']}', {each['spots']} spots: {each['genes']} genes in common; {each['missing']} genes of "
        "the section are not in it and were not fitted"
        for each in record["auxiliary"]
    ]


def _checked(elsewhere: dict[str, Any] | None) -> list[str]:
    """Return a line on how genes fare in sections of which nothing was fitted, where that is known."""
    if elsewhere is None:
        return []
    said = f"  each of the {elsewhere['sections']} sections predicted from the others: "
    said += f"mean correlation {elsewhere['skill']:.2f}"
    share = elsewhere["coverage"]
    return [said if share is None else f"{said}; 90 % intervals hold {share:.0%} of what was measured"]


def _recipe(model_options: ModelOptions) -> Any:
    from histosge.workflow.recipe import Recipe

    options = dict(assignment(text) for text in model_options.set_ or ())
    return Recipe(
        model_options.model,
        model_options.preset,
        options,
        model_options.encoder,
        model_options.patch_um,
        model_options.genes,
        model_options.seed,
    )


def assignment(text: str) -> tuple[str, Any]:
    """Return the field and the value of ``FIELD=VALUE``; the value is a Python literal where it can be one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set expects FIELD=VALUE, got '{text}'. Try --set epochs=200.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _target(location_options: LocationOptions, section: Any) -> Any:
    from histosge.section.image_only import LOOK_UM
    from histosge.section.target import Target

    upsample, spacing_um = location_options.upsample, location_options.spacing_um
    if (
        upsample is None
        and spacing_um is None
        and location_options.cells is None
        and location_options.regions is None
    ):
        # an image has no spots to refine
        upsample, spacing_um = (
            (4, None) if section.lattice is not None or section.measured else (None, LOOK_UM)
        )
    return Target(
        upsample, spacing_um, location_options.regions, location_options.cells, location_options.boundary
    )


def _machine(compute_options: ComputeOptions, weights: Path | None, progress: Any) -> Any:
    from histosge._runtime.device import resolve_device, resolve_precision
    from histosge.workflow.fit import Compute

    device = resolve_device(compute_options.device)
    return Compute(
        device, resolve_precision(compute_options.precision, device), weights, compute_options.store, progress
    )


def _outputs(output_options: OutputOptions) -> Any:
    from histosge.workflow.outputs import Outputs

    show = tuple(gene.strip() for gene in output_options.show.split(",")) if output_options.show else ()
    return Outputs(tuple(output_options.also or ()), show, output_options.figures)


def _tell(record: dict[str, Any], out: Path, *, as_json: bool) -> None:
    seconds = sum(stage["wall_s"] for stage in record["stages"].values())
    lines = [
        f"{record['places']} places × {len(record['genes'])} genes in {seconds:.0f} s",
        *_borrowed(record),
        *(f"  {out / name}" for name in record["files"]),
        f"  {out / 'run.json'}",
    ]
    answer(record, as_json=as_json, lines=lines)
