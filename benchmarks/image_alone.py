"""Whether a prediction from an image alone is as good as leaving out its siblings says.

    python benchmarks/image_alone.py ../shared/data/her2st/C2 ../shared/data/her2st/C4 ../shared/data/her2st/C5

Each section in turn is predicted from its image, as a fit to the others does. ``said`` is what leaving out each of
the others in turn says of the mean correlation over genes; ``found`` is that with what was measured in the section
itself, at its spots; ``alike`` is how the two correlate over genes. Intervals of 90 % hold ``as they come`` and
``widened`` so much of what was measured. ``--figure PATH`` draws genes of the first section that are said to be
predicted well, as measured and as predicted from its image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import histosge
from histosge.figures import maps, markers
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.section.locations import at_spots
from histosge.section.multi_section import SectionGroup
from histosge.section.target import tissue_of
from histosge.workflow.fit import Fit
from histosge.workflow.leave_one_section_out import section_accuracy
from histosge.workflow.section_accuracy import SectionAccuracy


def learnt(others: list[histosge.Section]) -> tuple[Fit, SectionAccuracy]:
    """Return a fit to some sections, and what leaving out each of them says."""
    fitted = histosge.fit(others[0], histosge.Recipe(), auxiliary=others[1:])
    told = section_accuracy(others, fitted)
    assert told is not None
    return fitted, told


def row(section: histosge.Section, others: list[histosge.Section]) -> tuple[float, ...]:
    """Return said, found, alike, and both coverages."""
    fitted, told = learnt(others)
    prediction = histosge.predict_from_image(fitted, section, at_spots(section))
    pool = SectionGroup.of(others[0], [*others[1:], section])
    place = {int(column): index for index, column in enumerate(pool.columns[0])}
    common = np.array([index for index, column in enumerate(fitted.panel.columns) if int(column) in place])
    columns = np.array([pool.columns[-1][place[int(column)]] for column in fitted.panel.columns[common]])
    truth = log_cp10k(section.counts, columns=columns).toarray()
    mean, sd = prediction.mean[:, common], prediction.sd[:, common]
    found = np.nan_to_num(pearson(truth, mean.astype(np.float64)))
    skill, stretch = np.array(told.skill)[common], np.array(told.stretch)[common]
    held = [float(coverage(truth, mean, sd, 0.9).mean()) for sd in (sd, sd * stretch)]
    return float(skill.mean()), float(found.mean()), float(np.corrcoef(skill, found)[0, 1]), *held


def draw(section: histosge.Section, others: list[histosge.Section], path: Path) -> None:
    """Draw two genes: the tissue, what was measured and was not given, what was predicted."""
    fitted, told = learnt(others)
    prediction = histosge.predict_from_image(
        fitted, section, histosge.grid(section, 50.0, mask=tissue_of(section))
    )
    genes = markers.choose_predicted_markers(prediction, 2, r_loo=np.array(told.skill))
    maps.save(maps.marker_maps(section, [("from the image alone", prediction)], genes), path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="+", type=Path, help="three or more of like tissue")
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    sections = [histosge.read(path) for path in arguments.sections]
    if arguments.figure is not None:
        draw(sections[0], sections[1:], arguments.figure)
    print("| section | said | found | alike | as they come | widened |\n|---|--:|--:|--:|--:|--:|")
    for index, section in enumerate(sections):
        cells = row(section, sections[:index] + sections[index + 1 :])
        print(f"| {section.name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
