"""What a wider patch and a filter bank would add to `texture`: at sections never measured, and at test spots.

    python benchmarks/texture_filters.py ../shared/data/mob/MOB1 ../shared/data/mob/MOB2 --split sections
    python benchmarks/texture_filters.py ../shared/data/crc16 --split random:0.5 --seeds 0 1 2

``sections`` predicts each section from its image, by a fit to the others; other splits divide each section by itself.
Columns: correlation at test spots with the 150 features of `texture`, and with 122 more: the statistics of a patch of
440 µm, and filters of those of 220 and 440 µm. Then the gain in r, and the change of the mean squared error.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from divided_section import arguments_of, mean_pcc
from filter_bank import responses

import histosge as hs
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.texture import _stains, statistics
from histosge.evaluation.separate_fit import fit_and_predict
from histosge.evaluation.study import Study, choose_genes, gather_samples
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, concatenated


@lru_cache
def section_at(path: Path) -> hs.Section:
    """Return a section, read once."""
    return hs.read(path)


@lru_cache
def features_of(path: Path) -> dict[str, np.ndarray]:
    """Return the texture features of the spots: as they are, and with those of a wider patch and filters."""
    section = section_at(path)
    assert section.slide is not None
    usual = np.asarray(embed(section.slide, section.spots.xy, load_encoder("texture"))[:])
    patches = {size: section.slide.read_many(section.spots.xy, size, 32) for size in (220.0, 440.0)}
    added = [statistics(patches[440.0]), *map(filtered, patches.values())]
    return {"texture": usual, "all": np.concatenate([usual, *added], axis=1)}


def filtered(rgb: np.ndarray) -> np.ndarray:
    """Return the filter responses of patches: haematoxylin, eosin and grey."""
    red, green, blue = (rgb[..., channel].astype(np.float32) / np.float32(255) for channel in range(3))
    grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    haematoxylin, eosin, _ = _stains(red, green, blue)
    return np.stack([column for plane in (haematoxylin, eosin, grey) for column in responses(plane)], axis=1)


def scores(path: Path, others: list[Path], split: str, seed: int) -> dict[str, tuple[float, float]]:
    """Return correlation and mean squared error for each set of features."""
    target = section_at(path)
    if split == "sections":
        rows = np.arange(len(target))
        auxiliary = tuple(map(section_at, others))
        study = Study(target, training=rows[:0], test=rows, split=split, auxiliary=auxiliary, seed=seed)
    else:
        others, study = [], Study.of(target, split, seed=seed)
    panel = choose_genes(study)
    truth = log_cp10k(target.counts, columns=panel.columns).toarray()[study.test]
    result = {}
    for name in features_of(path):
        inputs = concatenated(
            [
                replace(Inputs(hs.at_spots(section_at(part))), features=features_of(part)[name])
                for part in (path, *others)
            ]
        )
        samples = gather_samples(study, panel, inputs)
        test = inputs.take(np.flatnonzero(inputs.section_index == 0)[study.test])
        model = hs.Recipe().build()
        mean = fit_and_predict(
            lambda model=model, samples=samples: model.fit(samples, seed=seed), test, split == "sections"
        ).mean
        result[name] = mean_pcc(truth, mean.astype(float)), float(((truth - mean) ** 2).mean())
    return result


def main() -> None:
    parser = arguments_of(__doc__, seeds=[0])
    parser.add_argument("--split", default="sections", help="sections, random:0.5, sublattice:4, blocks:6")
    arguments = parser.parse_args()
    print("| section | texture | with filters | gain of r | change of MSE |\n|---|--:|--:|--:|--:|")
    for path in arguments.sections:
        others = [part for part in arguments.sections if part != path]
        of_seeds = [scores(path, others, arguments.split, seed) for seed in arguments.seeds]
        r, mse = (
            {name: float(np.mean([part[name][index] for part in of_seeds])) for name in of_seeds[0]}
            for index in (0, 1)
        )
        gain, change = (part["all"] / part["texture"] - 1 for part in (r, mse))
        cells = " | ".join(f"{value:.4f}" for value in r.values())
        print(f"| {path.name} | {cells} | {gain:+.1%} | {change:+.1%} |", flush=True)


if __name__ == "__main__":
    main()
