"""The command line's options in groups, each a value; commands take groups, users see flat options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

__all__ = [
    "AuxiliaryOptions",
    "ComputeOptions",
    "FitOptions",
    "LocationOptions",
    "ModelOptions",
    "OutputOptions",
    "ReplyOptions",
    "SectionOptions",
    "grouped",
]


@dataclass(frozen=True, slots=True)
class SectionOptions:
    """Which section, which image, which scale."""

    section: Annotated[
        Path,
        typer.Argument(
            metavar="SECTION",
            help="Space Ranger or legacy ST folder, .h5ad, or SpatialData .zarr; or an image without any counts.",
        ),
    ]
    image: Annotated[
        Path | None,
        typer.Option(help="Full-resolution image; otherwise the hires, otherwise the lowres one."),
    ] = None
    mpp: Annotated[
        float | None,
        typer.Option(help="µm per full-resolution pixel, where the pitch of the spots cannot tell."),
    ] = None
    reader: Annotated[str | None, typer.Option(help="Format, where it is not recognised.")] = None
    bin_um: Annotated[float | None, typer.Option(help="Visium HD bin size in µm (default 16).")] = None
    library_id: Annotated[str | None, typer.Option(help="Library inside an .h5ad or SpatialData store.")] = (
        None
    )
    trust_alignment: Annotated[
        bool,
        typer.Option("--trust-alignment", help="Go on although image and coordinates seem not to match."),
    ] = False


@dataclass(frozen=True, slots=True)
class AuxiliaryOptions:
    """Which other sections are fitted too."""

    auxiliary_section: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="SECTION",
            help="A further section of like tissue to borrow strength from; may be repeated.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What to fit."""

    encoder: Annotated[str, typer.Option(help="How to look at the image: see `histosge list encoders`.")] = (
        "texture"
    )
    weights: Annotated[Path | None, typer.Option(help="Local file of the encoder's weights.")] = None
    patch_um: Annotated[float | None, typer.Option(help="Width of the window looked at, µm.")] = None
    model: Annotated[str, typer.Option(help="See `histosge list models`.")] = "cokriging"
    preset: Annotated[str | None, typer.Option(help="Named configuration: published, paper, corrected …")] = (
        None
    )
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the preset.")
    ] = None
    genes: Annotated[str, typer.Option(help="hvg:N, all, or a FILE with one name a line.")] = "hvg:1000"
    seed: Annotated[int, typer.Option(help="The same seed gives the same bits on a CPU.")] = 0


@dataclass(frozen=True, slots=True)
class FitOptions:
    """A fit made before."""

    fit: Annotated[Path, typer.Option(help="Folder that `histosge fit` or `histosge run` wrote to.")]
    weights: Annotated[Path | None, typer.Option(help="Local file of the encoder's weights.")] = None


@dataclass(frozen=True, slots=True)
class LocationOptions:
    """Where to predict."""

    upsample: Annotated[int | None, typer.Option(help="Places per measured spot, 1 to 8 (default 4).")] = None
    spacing_um: Annotated[
        float | None, typer.Option(help="A grid of this spacing over the tissue (default for an image: 100).")
    ] = None
    regions: Annotated[
        Path | None, typer.Option(help="Polygons (QuPath GeoJSON) to keep the grid inside of.")
    ] = None
    cells: Annotated[Path | None, typer.Option(help="Cells (QuPath GeoJSON or CSV) to predict at.")] = None
    boundary: Annotated[str, typer.Option(help="Edge of a refinement: translate, symmetric or inner.")] = (
        "translate"
    )


@dataclass(frozen=True, slots=True)
class ComputeOptions:
    """Where and how to compute."""

    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, mps.")] = "auto"
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto"
    store: Annotated[Path | None, typer.Option(help="Folder for features (default: inside --out).")] = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What to write, and where."""

    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("histosge-out")
    show: Annotated[str | None, typer.Option(help="Genes to draw, separated by commas.")] = None
    also: Annotated[list[str] | None, typer.Option(help="Further formats: geojson, spatialdata.")] = None
    figures: Annotated[bool, typer.Option(help="Draw the maps.")] = True


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How to answer."""

    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
    ] = False


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give Typer the flat options of a command whose parameters are groups.

    ``def run(section_options: SectionOptions, location_options: LocationOptions)`` becomes a command with all fields of both as its options.
    """
    groups = get_type_hints(command)
    groups.pop("return", None)

    @functools.wraps(command)
    def flat(**options: Any) -> None:
        command(
            **{
                name: group(**{f.name: options[f.name] for f in fields(group)})
                for name, group in groups.items()
            }
        )

    hints = [
        (item, get_type_hints(group, include_extras=True))
        for group in groups.values()
        for item in fields(group)
    ]
    parameters = [_parameter(item, types[item.name]) for item, types in hints]
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {item.name: types[item.name] for item, types in hints}
    return flat


def _parameter(item: Field[Any], annotation: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if item.default is MISSING else item.default
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
