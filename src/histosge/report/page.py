"""The HTML file of a report, from its template, scripts and data."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files

from .contents import Contents
from .page_data import PageData, page_data
from .panel import headline, parts, warnings
from .pyramid import Pyramid

__all__ = ["asset", "render"]

# each script uses those before it
_SCRIPTS = (
    "blobs",
    "expression",
    "means",
    "colour",
    "outlines",
    "paint",
    "stage",
    "list",
    "region",
    "charts",
    "widths",
    "overlay",
    "imported",
    "snapshot",
    "link",
    "app",
    "readout",
    "controls",
)
_VIEWER = "vendor/openseadragon.min.js"


def render(contents: Contents, *, first: str | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    contents
        Of the report.
    first
        Gene that is shown first; by default one that the run drew, else the most accurate one.

    Raises
    ------
    UsageError
        For an unknown gene; near misses are offered.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    data = page_data(contents, first=first)
    viewer = re.sub(r"//# sourceMappingURL=\S+\s*$", "", asset(_VIEWER))
    numbered = re.search(r"openseadragon (\d+\.\d+\.\d+)", viewer)
    template = Environment(autoescape=True).from_string(asset("template.html"))
    return template.render(
        title=data.about["title"],
        headline=headline(contents),
        warnings=warnings(contents),
        version=version("histosge"),
        style=Markup(asset("style.css")),
        # a script ends at the first "<" followed by "/script"
        about=Markup(json.dumps(data.about, separators=(",", ":")).replace("<", "\\u003c")),
        blobs=[(name, Markup(text)) for name, text in data.blobs],
        viewer=Markup(viewer),
        viewer_version=numbered.group(1) if numbered else "",
        viewer_licence=asset("vendor/openseadragon.LICENSE.txt"),
        script=Markup("\n".join(asset(f"{name}.js") for name in _SCRIPTS)),
        has_r_loo="r_loo" in data.about["tables"],
        has_groups=bool(data.about["groups"]),
        has_image=data.image is not None,
        widths=0 if isinstance(contents.means, str) else len(contents.means.widths_um),
        no_widths=contents.means,
        cells=contents.prediction.locations.cells is not None,
        outlines=data.about["outlines"] is not None,
        labels=[labels.name for labels in contents.labels],
        parts=[asdict(part) for part in parts(contents, _precision(contents, data))],
    )


def asset(name: str) -> str:
    """Return a file of the page."""
    return files(__package__).joinpath("page").joinpath(name).read_text(encoding="utf-8")


def _precision(contents: Contents, data: PageData) -> list[tuple[str, str]]:
    """Return the differences between the numbers in the page and those in the files."""
    summary = [
        ("predicted values", f"within {_bound(data.packed.error)} of those in the file, in log1p(CP10k)")
    ]
    if data.packed.error_sd is not None:
        summary.append(("their sd", f"within {_bound(data.packed.error_sd)}"))
    if not isinstance(contents.means, str):
        summary.append(
            ("variance explained of means", f"within {_bound(contents.means.error)} at 99 % of locations")
        )
    if contents.measured is not None:
        kind = contents.measured.kind
        exact = "exact counts" if kind == "counts" else f"within {_bound(contents.measured.step / 2)}"
        number, total = data.measured_genes, len(contents.measured.genes)
        summary.append(
            ("measured values", exact if number == total else f"{exact}; of {number} of {total} genes")
        )
    if data.outlines.text:
        summary.append(("cells", data.outlines.text))
    summary.append(("image", _sharpness(contents, data.image)))
    return summary


def _bound(value: float) -> str:
    """Return a bound rounded upwards to one digit, so that it still holds."""
    text = f"{value:.0e}"
    if float(text) < value:
        text = f"{value + 10.0 ** int(text.split('e')[1]) / 2:.0e}"
    return f"{float(text):g}"


def _sharpness(contents: Contents, image: Pyramid | None) -> str:
    if image is None or contents.slide is None:
        return "none"
    shown = f"{image.mpp:.2f} µm per pixel"
    if image.mpp > 1.01 * contents.slide.mpp:
        return f"{shown}, reduced from {contents.slide.mpp:.2f} to fit into the page"
    own = contents.record["section"].get("image_mpp")
    if own is not None and contents.slide.mpp > 1.01 * float(own):
        return f"{shown}, the copy in the folder; the run used {own:.2f}. `histosge report --section` shows that image"
    return f"{shown}, the resolution of the section's image"
