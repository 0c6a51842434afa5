"""The command line's options in groups; each is declared once and shown under its group's panel."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from histosge.errors import UsageError

from .encoder_values import TileFile, weight_files

__all__ = [
    "LATE_HELP",
    "AuxiliaryOptions",
    "ComputeOptions",
    "DepthOptions",
    "DeviceOptions",
    "EncoderOptions",
    "FitOptions",
    "ModelOptions",
    "Out",
    "OutputOptions",
    "ProgramOptions",
    "ReadOptions",
    "ReplyOptions",
    "SectionOptions",
    "SeedOptions",
    "assignments",
    "words",
]

Out = Annotated[Path, typer.Option(help="Folder for the results.", rich_help_panel="Output")]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[ENCODER=]FILE",
        help="Local file of the encoder's weights; of several encoders, one for each: uni=FILE.",
    ),
]
PatchUm = Annotated[
    list[str] | None,
    typer.Option(metavar="[ENCODER=]UM", help="Width of a patch, µm; of several encoders: uni=112."),
]
DepthAdjusted = Annotated[
    bool,
    typer.Option(
        "--depth-adjusted",
        help="Fit expression at the section's mean depth: log1p(CP10k) less a line in log depth, gene by gene.",
    ),
]
Genes = Annotated[
    str,
    typer.Option(help="Genes to fit: hvg:N, all, names separated by commas, or a FILE with one name a line."),
]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a section is read."""

    panel: ClassVar[str] = "Section"

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
    library_id: Annotated[
        str | None,
        typer.Option(help="Library, region or sample inside an .h5ad, a SpatialData store or an archive."),
    ] = None
    trust_alignment: Annotated[
        bool,
        typer.Option("--trust-alignment", help="Go on although image and coordinates seem not to match."),
    ] = False

    def read(self, path: Path) -> Any:
        """Return the section at a path, and print its messages."""
        from histosge.io.readers import read

        from .screen import show_messages

        section = read(
            path,
            image=self.image,
            mpp=self.mpp,
            reader=self.reader,
            bin_um=self.bin_um,
            library_id=self.library_id,
            trust_alignment=self.trust_alignment,
        )
        show_messages(section.messages)
        return section


@dataclass(frozen=True, slots=True)
class SectionOptions:
    """Which section."""

    panel: ClassVar[str] = "Section"

    section: Annotated[
        Path,
        typer.Argument(
            metavar="SECTION",
            help="Space Ranger or legacy ST folder, .h5ad, or SpatialData .zarr; or an image without any counts.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class AuxiliaryOptions:
    """Which other sections are fitted too."""

    panel: ClassVar[str] = "Section"

    auxiliary_section: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            metavar="SECTION",
            help="An auxiliary section of like tissue that is fitted too; may be repeated.",
        ),
    ] = None

    def read(self, options: ReadOptions) -> list[Any]:
        """Return the auxiliary sections, read like the first one except for what belongs to its own image."""
        from histosge.io.readers import READERS

        sections = []
        for path in self.auxiliary_section or ():
            bins = READERS["visium_hd"].detect(path)
            # an image, a scale and a library belong to one section, a size of bins to sections of Visium HD
            shared = ReadOptions(
                reader=options.reader,
                bin_um=options.bin_um if bins else None,
                trust_alignment=options.trust_alignment,
            )
            sections.append(shared.read(path))
        return sections


@dataclass(frozen=True, slots=True)
class ProgramOptions:
    """Which gene programs the fit is given."""

    panel: ClassVar[str] = "Section"

    programs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Gene programs of like tissue: a file of `histosge programs build`, or expression data of any format "
            "without image or positions; may be repeated.",
        ),
    ] = None

    def read(self) -> list[Any]:
        """Return the gene programs, read or built, and print their messages."""
        from histosge.programs.alignment import programs_of

        from .screen import show_messages

        programs = list(programs_of(tuple(self.programs or ())))
        show_messages([message for part in programs for message in part.messages])
        return programs


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How image features are computed."""

    panel: ClassVar[str] = "Image features"

    encoder: Annotated[
        str,
        typer.Option(
            help="Encoder of the image's patches: see `histosge list encoders`. Several are joined: texture+uni."
        ),
    ] = "texture"
    weights: Weights = None
    patch_um: PatchUm = None
    features: TileFile = None


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What is fitted."""

    panel: ClassVar[str] = "Model"

    model: Annotated[str, typer.Option(help="See `histosge list models`.")] = "cokriging"
    preset: Annotated[str | None, typer.Option(help="Named configuration of the model ({presets}).")] = None
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the preset.")
    ] = None
    genes: Genes = "hvg:1000"


@dataclass(frozen=True, slots=True)
class DepthOptions:
    """On which scale it is fitted."""

    panel: ClassVar[str] = "Model"

    depth_adjusted: DepthAdjusted = False


@dataclass(frozen=True, slots=True)
class SeedOptions:
    """Where random numbers start."""

    panel: ClassVar[str] = "Model"

    seed: Annotated[
        int,
        typer.Option(
            help="The same seed gives the same bits on one kind of CPU, with the same libraries and number of threads."
        ),
    ] = 0


@dataclass(frozen=True, slots=True)
class FitOptions:
    """A fit made before."""

    panel: ClassVar[str] = "Model"

    fit: Annotated[Path, typer.Option(help="Folder that `histosge fit` or `histosge run` wrote to.")]
    weights: Weights = None


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """Where to compute."""

    panel: ClassVar[str] = "Compute"

    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, mps; or several: cuda:0,cuda:1.")] = (
        "auto"
    )


@dataclass(frozen=True, slots=True)
class ComputeOptions(DeviceOptions):
    """Where and how to compute."""

    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto"
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Compile networks: slow first, then faster.")
    ] = False
    store: Annotated[Path | None, typer.Option(help="Folder for features (default: inside --out).")] = None

    def compute(self, weights: list[str] | None, progress: Any) -> Any:
        """Return where and how to compute."""
        from histosge.workflow.compute import Compute

        return Compute(
            device=self.device,
            precision=self.precision,
            weights=weight_files(weights),
            store=self.store,
            progress=progress,
            compiled=self.compiled,
        )


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What to write."""

    panel: ClassVar[str] = "Output"

    show: Annotated[str | None, typer.Option(help="Genes to draw, separated by commas.")] = None
    also: Annotated[list[str] | None, typer.Option(help="Further formats: {formats}; may be repeated.")] = (
        None
    )
    figures: Annotated[bool, typer.Option(help="Draw the maps.")] = True
    write_genes: Annotated[
        str,
        typer.Option(
            help="Genes to write: default (those fitted, known markers, all with a reliable map), fitted or all; names "
            "or a FILE are written beside the default ones."
        ),
    ] = "default"
    unmeasured: Annotated[
        str | None,
        typer.Option(
            metavar="GENES",
            help="Genes that were never measured here, predicted through --programs into unmeasured.h5ad: names, a "
            "FILE or all.",
        ),
    ] = None

    def outputs(self) -> Any:
        """Return what to write."""
        from histosge.workflow.outputs import Outputs

        return Outputs(
            tuple(self.also or ()), self.show or (), self.figures, self.write_genes, self.unmeasured
        )


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """What is printed."""

    panel: ClassVar[str] = "Output"

    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
    ] = False


# as in JSON and TOML, and as messages and pages write them
_TRUTH = {"true": True, "false": False}


def words(text: str | None) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def assignments(texts: list[str] | None) -> dict[str, Any]:
    """Return fields and values of ``FIELD=VALUE``; a value is true, false or a Python literal where it can be one.

    Raises
    ------
    UsageError
        For a text without ``=``.

    Examples
    --------
    >>> assignments(["residual=true", "patience=3", "stops_by=training"])
    {'residual': True, 'patience': 3, 'stops_by': 'training'}
    """
    return dict(_assignment(text) for text in texts or ())


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set expects FIELD=VALUE, got '{text}'. Try --set epochs=200.")
    if value in _TRUTH:
        return name, _TRUTH[value]
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _presets() -> str:
    from histosge.models import MODELS, presets

    return "; ".join(f"{name}: {', '.join(presets(name))}" for name in MODELS if presets(name))


def _formats() -> str:
    from histosge.io.writers import WRITERS

    return ", ".join(WRITERS)


#: what stands in braces in the help depends on what the registries hold; it is filled in when the help is printed
LATE_HELP: Mapping[str, Callable[[], str]] = {"presets": _presets, "formats": _formats}
