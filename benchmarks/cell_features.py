"""What measures of nuclei add to texture: a random half of the spots, fitted with and without the means of their cells.

    python benchmarks/cell_features.py ../shared/data/her2st/C2 ../shared/data/her2st/C4 [--seeds 0 1 2]

Nuclei are found as `histosge run --cells nuclei` finds them. A spot has the means over the cells in its disk, and where
there is none the means over the section.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from divided_section import DividedSection, arguments_of, divide, mean_pcc
from scipy.spatial import cKDTree
from skimage.color import rgb2hed
from skimage.draw import polygon

import histosge as hs
from histosge.models import predict
from histosge.section.inputs import Inputs
from histosge.section.target import tissue_of
from histosge.segmentation.nuclei import find_cells

# µm; width of the surroundings in which the density of cells is measured
_NEAR_UM = 50.0
# µm², and long over short axis: smaller and rounder as lymphocytes are, longer as fibroblasts, larger as tumour cells
_SMALL, _LARGE, _LONG = 30.0, 60.0, 2.0


def main() -> None:
    """Print the mean correlation over genes at test spots, a row a section and seed."""
    parser = arguments_of(__doc__, seeds=[0])
    arguments = parser.parse_args()
    print(
        "| section | seed | positions | texture | nuclei | texture and nuclei | gain | share of nuclei |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    for path in arguments.sections:
        section = hs.read(path)
        of_spots = spot_means(section, find_cells(section.slide, mask=tissue_of(section)))
        for seed in arguments.seeds:
            compare(section, of_spots, seed)


def compare(section: hs.Section, of_spots: np.ndarray, seed: int) -> None:
    """Print one row."""
    divided = divide(section, seed=seed)
    cells = replace(divided.inputs, features=of_spots.astype(np.float32))
    joined = with_cells(divided.inputs, of_spots)
    positions, _ = score(divided, divided.inputs, hs.Recipe(preset="positions"))
    texture, _ = score(divided, divided.inputs)
    alone, _ = score(divided, cells)
    both, shares = score(divided, joined)
    scores = " | ".join(f"{value:.4f}" for value in (positions, texture, alone, both))
    print(f"| {section.name} | {seed} | {scores} | {both / texture - 1:+.2%} | {shares[1]:.2f} |", flush=True)


def score(
    divided: DividedSection, inputs: Inputs, recipe: hs.Recipe = hs.Recipe()
) -> tuple[float, tuple[float, ...]]:
    """Return the mean correlation at test spots, and the shares of joined encoders."""
    samples = replace(divided.training, inputs=inputs.take(divided.study.training))
    predictor = recipe.build().fit(samples, seed=divided.study.seed)
    prediction = predict(predictor, inputs.take(divided.study.test)).mean.astype(np.float64)
    shares = predictor.summary()["covariance"].get("shares", (1.0, 0.0))
    return mean_pcc(divided.truth, prediction), tuple(shares)


def with_cells(inputs: Inputs, of_spots: np.ndarray) -> Inputs:
    """Return the inputs with the means of cells joined to the image features."""
    features = np.asarray(inputs.features[:])  # type: ignore[index]
    joined = (("texture", features.shape[1]), ("cells", of_spots.shape[1]))
    return replace(inputs, features=np.hstack([features, of_spots]).astype(np.float32), joined=joined)


def spot_means(section: hs.Section, cells: hs.Cells) -> np.ndarray:
    """Return means and standard deviations of the cells in each spot, and how many there are, spots × measures."""
    measures = cell_measures(section, cells)
    members = cKDTree(cells.xy_um).query_ball_point(section.spots.xy, section.spots.diameter_um / 2)
    rows = np.full((len(section), 2 * measures.shape[1] + 1), np.nan)
    for spot, inside in enumerate(members):
        rows[spot, -1] = np.log1p(len(inside))
        if inside:
            own = measures[inside]
            rows[spot, :-1] = np.concatenate([own.mean(axis=0), own.std(axis=0)])
    return np.where(np.isnan(rows), np.nanmean(rows, axis=0), rows)


def cell_measures(section: hs.Section, cells: hs.Cells) -> np.ndarray:
    """Return size, shape, stain and surroundings of each nucleus, cells × measures."""
    area = shapely.area(cells.nuclei)
    sides = shapely.get_coordinates(shapely.oriented_envelope(cells.nuclei)).reshape(len(cells), 5, 2)
    lengths = np.linalg.norm(np.diff(sides, axis=1)[:, :2], axis=2)
    ratio = lengths.max(axis=1) / np.maximum(lengths.min(axis=1), 1e-6)
    solidity = area / shapely.area(shapely.convex_hull(cells.nuclei))
    tree = cKDTree(cells.xy_um)
    nearest = tree.query(cells.xy_um, k=2)[0][:, 1]
    near = np.log1p(tree.query_ball_point(cells.xy_um, _NEAR_UM, return_length=True))
    shapes = [np.log(area), ratio, solidity, area / cells.area_um2, nearest, near]
    kinds = [(area < _SMALL) & (ratio < _LONG), ratio >= _LONG, area >= _LARGE]
    return np.column_stack([*shapes, *kinds, stains(section, cells)])


def stains(section: hs.Section, cells: hs.Cells) -> np.ndarray:
    """Return mean and standard deviation of haematoxylin and mean eosin in each nucleus; NaN becomes the mean."""
    values = np.full((len(cells), 3), np.nan)
    near = np.flatnonzero(
        cKDTree(section.spots.xy).query(cells.xy_um)[0] <= section.spots.diameter_um / 2 + 1.0
    )
    spot = cKDTree(section.spots.xy).query(cells.xy_um[near])[1]
    width_um = section.spots.diameter_um + 40.0
    px = round(width_um / section.slide.mpp)
    for index in np.unique(spot):
        centre = section.spots.xy[index]
        window = rgb2hed(section.slide.read(centre, width_um, px))
        for cell in near[spot == index]:
            ring = (
                shapely.get_coordinates(shapely.get_exterior_ring(cells.nuclei[cell])) - centre
            ) / width_um
            row, column = polygon(*((ring[:, ::-1] + 0.5) * px).T, shape=(px, px))
            if len(row):
                inside = window[row, column]
                values[cell] = inside[:, 0].mean(), inside[:, 0].std(), inside[:, 1].mean()
    return np.where(np.isnan(values), np.nanmean(values, axis=0), values)


if __name__ == "__main__":
    main()
