"""To which sample the files of an upload belong, by their names: ``GSM1_A_matrix.mtx.gz``, ``B/outs/spatial/…``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .tissue_positions import NAMES

__all__ = ["ARCHIVES", "Sample", "is_archive_name", "is_folder_of_section", "samples_of"]

#: how names of archives end
ARCHIVES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tar", ".tgz", ".zip")

# folders of one section; an archive may put a prefix of the sample before their names, or pack them by themselves
_FOLDERS = (
    "outs",
    "spatial",
    "binned_outputs",
    "segmented_outputs",
    "filtered_feature_bc_matrix",
    "raw_feature_bc_matrix",
)
_COMPONENT = re.compile(rf"(?:(?P<prefix>.+)[_.-])?(?P<name>{'|'.join(_FOLDERS)})$")
_BINS = re.compile(r"square_\d+um$")
_MATRIX_ENDS = (
    "filtered_feature_bc_matrix.h5",
    "raw_feature_bc_matrix.h5",
    "filtered_feature_cell_matrix.h5",
    "raw_feature_cell_matrix.h5",
    "matrix.mtx",
)
_OTHER_ENDS = (
    "barcodes.tsv",
    "features.tsv",
    "genes.tsv",
    "scalefactors_json.json",
    *(f"tissue_{size}_image{end}" for size in ("hires", "lowres") for end in (".png", ".jpg", ".tif")),
)
# the tables of legacy ST
_LEGACY = re.compile(
    r"(?:(?P<prefix>.*)[_.-])?(?:counts|stdata|spots|spot_data|selection)(?:[_.-].*)?\.tsv(?:\.gz)?$"
)
_IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
# what stands between the prefix of a sample and the usual name
_BETWEEN = ("_filtered_feature_bc_matrix", "_raw_feature_bc_matrix", "_spatial")


@dataclass(slots=True)
class Sample:
    """The files of one sample in an upload.

    Parameters
    ----------
    name
        The folder that they are in, or what their names begin with; empty where there is neither.
    files
        Path in the upload, and path in a folder of the sample alone.
    """

    name: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether it has a file that may hold both counts and positions: an h5ad, a store or an archive."""
        return any(
            inner.endswith(".h5ad")
            or ".zarr/" in f"{inner}/"
            or (is_archive_name(inner) and _component_of(inner) is None)
            for inner in self.files.values()
        )

    @property
    def is_complete(self) -> bool:
        """Whether it has counts and positions, or a file that may hold both."""
        names = [PurePosixPath(inner).name.removesuffix(".gz") for inner in self.files.values()]
        has_counts = any(
            name.endswith(_MATRIX_ENDS) or "counts" in name or "stdata" in name for name in names
        )
        ends = (*NAMES, "_segmentations.geojson")
        has_spots = any(name.endswith(ends) or "spot" in name or "selection" in name for name in names)
        packed = {_component_of(inner) for inner in self.files.values() if is_archive_name(inner)}
        has_counts |= any(name is not None and name != "spatial" for name in packed)
        has_spots |= bool(packed & {"spatial", "outs", "binned_outputs", "segmented_outputs"})
        return self.is_whole or (has_counts and has_spots)


def is_archive_name(name: str) -> bool:
    """Return whether a name is that of an archive.

    Examples
    --------
    >>> is_archive_name("GSE1_RAW.tar"), is_archive_name("GSM1_A_image.tif")
    (True, False)
    """
    return name.lower().endswith(ARCHIVES)


def is_folder_of_section(name: str) -> bool:
    """Return whether a name is that of a folder that only a section has, such as ``spatial``."""
    return name in _FOLDERS


def samples_of(names: Iterable[str]) -> dict[str, Sample]:
    """Return the samples that files belong to; those with counts and positions alone, where there are some.

    Examples
    --------
    >>> sorted(samples_of(["GSM1_A_matrix.mtx.gz", "GSM1_A_tissue_positions_list.csv", "B/spatial/x.png", "B/y.h5ad"]))
    ['B/y', 'GSM1_A']
    """
    samples: dict[str, Sample] = {}
    images = []
    for name in names:
        parts = PurePosixPath(name).parts
        if not parts or "__MACOSX" in parts or parts[-1].startswith("."):
            continue
        home = _in_folder(parts) or _of_file(parts)
        if home is not None:
            samples.setdefault(home[0], Sample(home[0])).files[name] = home[1]
        elif parts[-1].lower().endswith(_IMAGES):
            images.append((name, parts))
    for name, parts in images:
        _attach_image(samples, name, parts)
    complete = {key: sample for key, sample in samples.items() if sample.is_complete}
    return complete or samples


def _in_folder(parts: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the sample, and the path in it, of a file in a folder that only one section has."""
    for depth, part in enumerate(parts[:-1]):
        if part.endswith(".zarr"):
            return "/".join((*parts[:depth], part.removesuffix(".zarr"))), "/".join(parts[depth:])
        component = _COMPONENT.match(part)
        if component is not None:
            above = parts[:depth] + ((component["prefix"],) if component["prefix"] else ())
            return "/".join(above), "/".join((component["name"], *parts[depth + 1 :]))
        if _BINS.match(part):
            return "/".join(parts[:depth]), "/".join(parts[depth:])
    return None


def _of_file(parts: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the sample, and the path in it, of a file with a name that a section's files have."""
    above, name = parts[:-1], parts[-1]
    if is_archive_name(name):
        stem, end = _split(name)
        component = _COMPONENT.match(stem)
        if component is None:
            return "/".join((*above, stem)), name
        prefix = (component["prefix"],) if component["prefix"] else ()
        return "/".join((*above, *prefix)), f"{component['name']}{end}"
    if name.endswith(".h5ad"):
        return "/".join((*above, name.removesuffix(".h5ad"))), name
    plain = name.removesuffix(".gz")
    ends = (*_MATRIX_ENDS, *NAMES, *_OTHER_ENDS)
    # the longest: a list of positions ends like other names
    known = max(
        (end for end in ends if plain == end or _ends_after_separator(plain, end)), key=len, default=None
    )
    if known is not None:
        prefix_of_name = plain.removesuffix(known).rstrip("_.-")
        for between in _BETWEEN:
            prefix_of_name = f"_{prefix_of_name}".removesuffix(between).removeprefix("_")
        return "/".join((*above, *((prefix_of_name,) if prefix_of_name else ()))), name
    legacy = _LEGACY.match(name)
    if legacy is not None:
        return "/".join((*above, *((legacy["prefix"],) if legacy["prefix"] else ()))), name
    return None


def _attach_image(samples: dict[str, Sample], name: str, parts: tuple[str, ...]) -> None:
    """Add an image to the sample of legacy ST in its folder, or whose name it begins with."""
    home = "/".join(parts)
    above = "/".join(parts[:-1])
    for sample in samples.values():
        legacy = any(_LEGACY.match(PurePosixPath(path).name) for path in sample.files)
        if legacy and (sample.name == above or (sample.name and home.startswith(sample.name))):
            sample.files[name] = parts[-1]
            return


def _ends_after_separator(name: str, end: str) -> bool:
    return name.endswith(end) and name[-len(end) - 1] in "_.-"


def _split(name: str) -> tuple[str, str]:
    end = next(end for end in ARCHIVES if name.lower().endswith(end))
    return name[: -len(end)], name[-len(end) :]


def _component_of(name: str) -> str | None:
    component = _COMPONENT.match(_split(name)[0])
    return None if component is None else component["name"]
