"""Whether a prediction from an image alone is as accurate as leave-one-section-out cross-validation says.

    python benchmarks/image_alone.py ../shared/data/her2st/C2 ../shared/data/her2st/C4 ../shared/data/her2st/C5

Each section in turn is predicted from its image, by a fit to the others. ``expected r`` is the mean correlation over
genes by leave-one-section-out cross-validation of the others; ``r`` is that with the measurement of the section itself,
at its spots; ``r of both`` is their correlation over genes. The last columns are the coverage of 90 % intervals before
and after the calibration factor. ``--figure PATH`` draws two genes of the first section that are expected to be
predicted well, as measured and as predicted from its image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from divided_section import arguments_of

import histosge as hs
from histosge._runtime.names import positions
from histosge.figures.marker_maps import marker_maps
from histosge.figures.markers import choose_predicted_markers
from histosge.figures.png import save_png
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.section.target import tissue_of
from histosge.workflow.fit import Fit
from histosge.workflow.leave_one_section_out import section_accuracy
from histosge.workflow.section_accuracy import SectionAccuracy


def fit_and_cross_validate(sections: list[hs.Section]) -> tuple[Fit, SectionAccuracy]:
    """Return a fit to some sections, and the accuracy in those left out in turn."""
    fit = hs.fit(sections[0], hs.Recipe(), auxiliary=sections[1:])
    accuracy = section_accuracy(sections, fit)
    assert accuracy is not None
    return fit, accuracy


def row(section: hs.Section, others: list[hs.Section]) -> tuple[float, ...]:
    """Return expected r, r, r of both, and the coverage before and after calibration."""
    fit, accuracy = fit_and_cross_validate(others)
    prediction = hs.predict_from_image(fit, section, hs.at_spots(section))
    assert prediction.sd is not None
    columns = positions(prediction.genes, section.genes)
    common = np.flatnonzero(columns >= 0)
    truth = log_cp10k(section.counts, columns=columns[common]).toarray()
    mean, sd = prediction.mean[:, common], prediction.sd[:, common]
    r = np.nan_to_num(pearson(truth, mean.astype(np.float64)))
    expected, factor = (np.array(part)[common] for part in (accuracy.r, accuracy.calibration_factor))
    covered = [float(coverage(truth, mean, scaled, 0.9).mean()) for scaled in (sd, sd * factor)]
    return float(expected.mean()), float(r.mean()), float(np.corrcoef(expected, r)[0, 1]), *covered


def draw(section: hs.Section, others: list[hs.Section], path: Path) -> None:
    """Draw two genes: the tissue, the measurement that was not used, and the prediction."""
    fit, accuracy = fit_and_cross_validate(others)
    locations = hs.grid(section, 50.0, mask=tissue_of(section))
    prediction = hs.predict_from_image(fit, section, locations)
    genes = choose_predicted_markers(prediction, 2, r_loo=np.array(accuracy.r))
    save_png(marker_maps(section, [("from the image alone", prediction)], genes), path)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    sections = [hs.read(path) for path in arguments.sections]
    if arguments.figure is not None:
        draw(sections[0], sections[1:], arguments.figure)
    print("| section | expected r | r | r of both | coverage | calibrated |\n|---|--:|--:|--:|--:|--:|")
    for index, section in enumerate(sections):
        cells = row(section, sections[:index] + sections[index + 1 :])
        print(f"| {section.name} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
