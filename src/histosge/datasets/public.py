"""The data sets of the HisToSGE paper: their addresses, terms and caveats."""

from __future__ import annotations

from dataclasses import dataclass

from histosge._runtime.registry import Registry

__all__ = ["ENTRIES", "PUBLIC", "PublicDataset", "Remote"]

_DLPFC_COUNTS = "https://spatial-dlpfc.s3.us-east-2.amazonaws.com"
_DLPFC_POSITIONS = "https://raw.githubusercontent.com/LieberInstitute/HumanPilot/master/10X"
_TENX = "https://cf.10xgenomics.com/samples/spatial-exp"
# three donors, two pairs of neighbouring sections each; spots in tissue
_DLPFC = {
    "151507": ("Br5292", 4226),
    "151508": ("Br5292", 4384),
    "151509": ("Br5292", 4789),
    "151510": ("Br5292", 4634),
    "151669": ("Br5595", 3661),
    "151670": ("Br5595", 3498),
    "151671": ("Br5595", 4110),
    "151672": ("Br5595", 4015),
    "151673": ("Br8100", 3639),
    "151674": ("Br8100", 3673),
    "151675": ("Br8100", 3592),
    "151676": ("Br8100", 3460),
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch.

    Parameters
    ----------
    url
        Where it is.
    path
        Where it goes, in the data set's folder; a ``.tar.gz`` is unpacked there.
    image
        Whether it is the full-resolution image, which is large and can be left out.
    """

    url: str
    path: str
    image: bool = False


@dataclass(frozen=True, slots=True)
class PublicDataset:
    """A section that anybody can fetch.

    Parameters
    ----------
    name
        As given to ``histosge datasets``.
    title
        What it is.
    spots
        In tissue, according to the paper or the source.
    patient
        Donor, where sections share one; empty otherwise.
    files
        What to fetch; together a Space Ranger folder that :func:`histosge.read` reads.
    licence, citation
        The source's terms; a key in ``references.bib`` or empty.
    caveat
        What a user must know before relying on it.
    layers
        The path of a table barcode, section, layer for several sections, of which this one's rows are kept.
    """

    name: str
    title: str
    spots: int
    files: tuple[Remote, ...]
    licence: str
    citation: str = ""
    patient: str = ""
    caveat: str = ""
    layers: str = ""


def _dlpfc(section: str, patient: str, spots: int) -> PublicDataset:
    images = f"{_DLPFC_COUNTS}/images/{section}"
    caveat = ""
    if section == "151673":
        caveat = "The section of most published figures."
    if section == "151510":
        caveat = "40 spots are not annotated; the truth file of other distributions has one row fewer than the matrix."
    return PublicDataset(
        f"dlpfc/{section}",
        f"Human dorsolateral prefrontal cortex, section {section}",
        spots,
        (
            Remote(
                f"{_DLPFC_COUNTS}/h5/{section}_filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix.h5"
            ),
            Remote(
                f"{_DLPFC_POSITIONS}/{section}/tissue_positions_list.txt", "spatial/tissue_positions_list.csv"
            ),
            Remote(f"{_DLPFC_POSITIONS}/{section}/scalefactors_json.json", "spatial/scalefactors_json.json"),
            Remote(f"{images}_tissue_hires_image.png", "spatial/tissue_hires_image.png"),
            Remote(f"{images}_tissue_lowres_image.png", "spatial/tissue_lowres_image.png"),
            Remote(f"{_DLPFC_POSITIONS}/barcode_level_layer_map.tsv", "barcode_level_layer_map.tsv"),
            Remote(f"{images}_full_image.tif", "image.tif", image=True),
        ),
        "as published with Maynard et al. 2021",
        "maynard2021",
        patient,
        caveat,
        "barcode_level_layer_map.tsv",
    )


def _tenx(name: str, title: str, spots: int, version: str, sample: str, caveat: str) -> PublicDataset:
    base = f"{_TENX}/{version}/{sample}/{sample}"
    return PublicDataset(
        name,
        title,
        spots,
        (
            Remote(f"{base}_filtered_feature_bc_matrix.h5", "filtered_feature_bc_matrix.h5"),
            Remote(f"{base}_spatial.tar.gz", "spatial.tar.gz"),
            Remote(f"{base}_image.tif", "image.tif", image=True),
        ),
        "CC BY 4.0 (10x Genomics)",
        caveat=caveat,
    )


# name, title, spots, Space Ranger's version, the sample's name there, what a careful user must know
_TENX_SECTIONS = (
    (
        "mouse-brain",
        "Adult mouse brain, coronal, H&E",
        2702,
        "1.1.0",
        "V1_Adult_Mouse_Brain",
        "The section the paper links. It has 2702 spots; the paper has 2903 (and 4992 in its Table I).",
    ),
    (
        "mouse-brain-fluorescence",
        "Adult mouse brain, coronal, section 1, DAPI and anti-NeuN",
        2903,
        "1.1.0",
        "V1_Adult_Mouse_Brain_Coronal_Section_1",
        "The section the authors' code opens by name; fluorescence, no H&E. That it has the paper's 2903 spots is "
        "likely and not confirmed.",
    ),
    (
        "bc1",
        "Human breast cancer, block A, section 1",
        3813,
        "1.0.0",
        "V1_Breast_Cancer_Block_A_Section_1",
        "Space Ranger 1.0.0, as in the paper (3813 spots); version 1.1.0 of the same section has 3798.",
    ),
    (
        "bc2",
        "Human breast cancer, FFPE",
        2518,
        "1.3.0",
        "Visium_FFPE_Human_Breast_Cancer",
        "Probes, not poly-A capture: some 18 000 genes.",
    ),
)


ENTRIES = (
    *(_dlpfc(section, *values) for section, values in _DLPFC.items()),
    *(_tenx(*values) for values in _TENX_SECTIONS),
)

PUBLIC: Registry[PublicDataset] = Registry("dataset", PublicDataset, ["histosge.datasets"])
