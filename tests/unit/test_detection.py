"""Detection: tiles in which a gene is above a threshold, with a bounded share of false ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control

import histosge as hs
from histosge.errors import DataError
from histosge.prediction.conformal_selection import Context, conformal_p, has_contrast
from histosge.prediction.threshold import thresholds
from histosge.section.genes import select
from histosge.section.target import tissue_of
from histosge.section.tiles import least_tile_um, tiles_at, tiles_of
from histosge.workflow.detection import CalibratedTiles, calibrated, recipe_with
from histosge.workflow.fit import Fit
from histosge.workflow.left_out_tiles import block_width_um

RECIPE = hs.Recipe(preset="positions", genes="all")


@pytest.fixture(scope="module")
def tissue() -> hs.datasets.synthetic.Synthetic:
    """A tissue whose spots are disks."""
    return hs.synthetic(columns=14, rows=15, genes=24, seed=3, support="disk")


@pytest.fixture(scope="module")
def fit(tissue: hs.datasets.synthetic.Synthetic) -> Fit:
    """A fit of it by positions."""
    return hs.fit(tissue.section, RECIPE)


@pytest.fixture(scope="module")
def tested(tissue: hs.datasets.synthetic.Synthetic, fit: Fit) -> CalibratedTiles:
    """All its genes in tiles of a pitch."""
    section = tissue.section
    return calibrated(fit, section, fit.genes, tiles_of(section, 100.0, mask=tissue_of(section)), folds=3)


def drawn(rng: np.random.Generator, number: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, and which measurements are not above the threshold, given these."""
    score = spread * rng.normal(size=number)
    return score, score + rng.normal(size=number) <= 0.8


@pytest.mark.parametrize("spread", [1.0, 1.8])
def test_the_share_of_false_selections_is_bounded(spread: float) -> None:
    """Realised over many draws, also where the scores of the tiles spread more than those of the calibration tiles."""
    rng = np.random.default_rng(0)
    false, power = [], []
    for _ in range(150):
        score, below = drawn(rng, 200, 1.0)
        own, own_below = drawn(rng, 300, spread)
        p = conformal_p(Context(own, np.ones(300)), Context(score, np.ones(200)), below)
        chosen = false_discovery_control(p) <= 0.2
        false.append((chosen & own_below).sum() / max(chosen.sum(), 1))
        power.append((chosen & ~own_below).sum() / (~own_below).sum())
    assert np.mean(false) < 0.22
    assert np.mean(power) > 0.2


def test_p_is_the_share_of_calibration_tiles_below_that_score_as_high() -> None:
    """Twenty calibration tiles are one stratum, in which all weights are 1."""
    score = np.arange(20.0)
    below = score < 15
    p = conformal_p(Context(np.array([4.5, 14.0, 30.0]), np.ones(3)), Context(score, np.ones(20)), below)
    assert p == pytest.approx([11 / 21, 2 / 21, 1 / 21])


def test_remote_tiles_are_compared_with_remote_ones() -> None:
    """Where remote calibration tiles are all below the threshold, a remote tile of a middling score has a large p."""
    rng = np.random.default_rng(1)
    score, remoteness = rng.normal(size=800), np.repeat([1.0, 3.0], 400)
    below = (remoteness > 2) | (score < 0)
    tiles = Context(np.full(2, 0.5), np.array([1.0, 3.0]))
    near, remote = conformal_p(tiles, Context(score, remoteness), below)
    assert near < 0.05
    assert remote > 0.2
    # beyond all calibration tiles nothing was tried
    beyond = Context(np.full(2, 9.0), np.array([1.0, 3.5]))
    near, remote = conformal_p(beyond, Context(score, remoteness), below)
    assert near < 0.05
    assert remote == 1


def test_scores_of_noise_have_no_contrast() -> None:
    """Nor does a threshold that all tiles exceed."""
    rng = np.random.default_rng(2)
    score = rng.normal(size=300)
    assert has_contrast(score, score + rng.normal(size=300) < 0)
    assert not has_contrast(score, rng.normal(size=300) < 0)
    assert not has_contrast(score, score > 0.5)
    assert not has_contrast(score, np.zeros(300, dtype=bool))


def test_detected_tiles_are_as_stated(
    tested: CalibratedTiles, tissue: hs.datasets.synthetic.Synthetic
) -> None:
    """By a new measurement of the spots in the tiles: at most the stated share is false, and many are found."""
    detection = tested.detect("1x", 0.1)
    points, section = detection.tiles.points, tissue.section
    rates = np.expm1(tissue.truth(points.xy, section.spots.diameter_um)) / 1e4
    counts = np.random.default_rng(7).poisson(4000 * rates)
    again = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))[:, section.columns(detection.genes)]
    true, chosen = again > detection.above, detection.detected
    false = (chosen & ~true).sum(axis=0) / np.maximum(chosen.sum(axis=0), 1)
    assert false.mean() < 0.12
    assert (chosen & true).sum() > 0.3 * true.sum()
    naive = (detection.mean > detection.above) & ~true
    assert naive.sum() / (detection.mean > detection.above).sum() > false.mean()


def test_nothing_is_detected_without_a_pattern(tissue: hs.datasets.synthetic.Synthetic) -> None:
    """With the counts exchanged between spots hardly a tile is detected, and no threshold changes that."""
    section = tissue.section
    order = np.random.default_rng(0).permutation(len(section))
    exchanged = replace(section, counts=section.counts[order])
    fit = hs.fit(exchanged, RECIPE)
    tested = calibrated(fit, exchanged, fit.genes, tiles_of(exchanged, 100.0), folds=3)
    for above in ("1x", "1.5x", "q0.75"):
        assert tested.detect(above, 0.1).detected.mean() < 0.005, above


def test_the_same_in_any_order_of_the_spots(
    tissue: hs.datasets.synthetic.Synthetic, fit: Fit, tested: CalibratedTiles
) -> None:
    """But for scores that are equal to five digits; another seed draws other blocks."""
    section = tissue.section
    order = np.random.default_rng(5).permutation(len(section))
    turned = section.take(order)
    genes = np.array(["TUMOUR1", "ZONE2"])
    tiles = tiles_of(turned, 100.0, mask=tissue_of(turned))
    again = calibrated(hs.fit(turned, RECIPE), turned, genes, tiles, folds=3).detect("1x", 0.1)
    first = tested.detect("1x", 0.1).only(["TUMOUR1", "ZONE2"])
    assert again.tiles.ids.tolist() == first.tiles.ids.tolist()
    # variances are in single precision: a tile may change places with a calibration tile of the same score
    apart = np.abs(again.p - first.p)
    assert np.mean(apart > 1e-6) < 0.01
    assert apart.max() < 3 / first.calibration_tiles
    other = calibrated(fit, section, genes, tested.tiles, folds=3, seed=1).detect("1x", 0.1)
    assert not np.allclose(other.p, first.p)


def test_wide_tiles_average_their_spots(tissue: hs.datasets.synthetic.Synthetic) -> None:
    """A tile of two pitches stands for four spots, one of a pitch for one, in its middle."""
    section = tissue.section
    narrow, wide = tiles_of(section, 100.0), tiles_of(section, 200.0)
    assert set(narrow.spots) == {1}
    assert wide.spots.max() == 4
    # 150 µm are 1.6 of the squares that spots have to themselves
    assert tiles_of(section, 150.0).spots.max() == pytest.approx((1.5 / 0.75**0.25) ** 2)
    assert narrow.points.xy == pytest.approx(narrow.centres_um)
    corners = wide.corners_um()
    assert corners.mean(axis=1) == pytest.approx(wide.centres_um)
    assert np.ptp(corners, axis=1) == pytest.approx(200.0)


def test_blocks_are_as_remote_as_the_tiles(tissue: hs.datasets.synthetic.Synthetic) -> None:
    """Several pitches wide, whole tiles, and wider for tiles far from spots."""
    section = tissue.section
    near = block_width_um(section, section.spots.xy, 120.0)
    assert near >= 3 * section.pitch_um
    assert near / 120 == pytest.approx(round(near / 120))
    assert block_width_um(section, section.spots.xy + 2000.0, 120.0) > near


def test_thresholds_in_words() -> None:
    """Numbers, multiples of the section's expression in CP10k, and quantiles."""
    measured = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 6.0]])
    genes = np.array(["A", "B"])
    assert thresholds(0.5, measured, genes).tolist() == [0.5, 0.5]
    assert thresholds("2x", measured, genes) == pytest.approx(np.log1p(2 * np.expm1([1.0, 3.0])))
    assert thresholds("q0.5", measured, genes).tolist() == [1.0, 2.0]
    # one of several genes may be above its values
    assert thresholds(3, measured, genes).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("above", ["-1", "much", "q1.5", "nan", "inf", "9", "x"])
def test_other_thresholds_are_refused(above: str) -> None:
    """With a sentence that names the parameter."""
    with pytest.raises(hs.UsageError, match="`above`"):
        thresholds(above, np.array([[0.0, 1.0], [1.0, 2.0]]), np.array(["A", "B"]))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"genes": "TUMOR1"}, "Did you mean TUMOUR1"),
        ({"genes": []}, "got none"),
        ({"tile_um": 30.0}, "at least 49 µm"),
        ({"tile_um": 700.0}, "to calibrate with"),
        ({"tile_um": float("nan")}, "positive"),
        ({"fdr": 0.0}, "`fdr`"),
        ({"fdr": 1.0}, "`fdr`"),
        ({"above": 20}, "No spot has more TUMOUR1"),
    ],
)
def test_bad_input_is_refused(
    tissue: hs.datasets.synthetic.Synthetic, fit: Fit, options: dict[str, object], sentence: str
) -> None:
    """Before anything is fitted again, but for tiles that are too wide."""
    arguments = {"genes": "TUMOUR1", "above": "1x", "tile_um": 100.0} | options
    with pytest.raises(hs.UsageError, match=sentence):
        hs.detect(fit, tissue.section, arguments.pop("genes"), **arguments)  # type: ignore[arg-type]


def test_other_fits_are_refused(tissue: hs.datasets.synthetic.Synthetic) -> None:
    """Other models, several sections, another section, and genes that were not fitted."""
    section, other = (hs.synthetic(columns=8, rows=8, genes=12, seed=seed).section for seed in (0, 1))
    words = {"genes": "TUMOUR1", "above": "1x", "tile_um": 100.0}
    for fit, message in (
        (hs.fit(section, hs.Recipe("kriging", genes="all")), "Detection needs a fit of the model cokriging"),
        (hs.fit(section, RECIPE, auxiliary=[other]), "auxiliary"),
        (hs.fit(other, RECIPE), "not the one that was fitted"),
        (hs.fit(section, replace(RECIPE, genes="ZONE1,ZONE2")), "not among the 2 genes that were fitted"),
    ):
        with pytest.raises(hs.UsageError, match=message):
            hs.detect(fit, section, **words)  # type: ignore[arg-type]


def test_genes_that_are_asked_for_are_fitted() -> None:
    """A recipe of the most variable genes gets the others too; one that has them stays as it is."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    few = hs.Recipe(preset="positions", genes="hvg:3")
    panel = select(section, "hvg:3").names.tolist()
    outside = next(name for name in section.genes.tolist() if name not in panel)
    assert set(select(section, recipe_with(few, outside, section).genes).names) == {*panel, outside}
    assert recipe_with(RECIPE, "TUMOUR1", section) is RECIPE


def test_the_interface_of_anndata() -> None:
    """A section or a prediction with its section; a prediction alone, or of another section, is refused."""
    section, other = (hs.synthetic(columns=10, rows=11, genes=8, seed=seed).section for seed in (0, 1))
    prediction = hs.tl.enhance(section, RECIPE, upsample=2)
    words = {"genes": "TUMOUR1", "above": "1x", "tile_um": 100.0}
    first = hs.tl.detect(section, recipe=RECIPE, **words)  # type: ignore[arg-type]
    second = hs.tl.detect(prediction, section=section, **words)  # type: ignore[arg-type]
    assert (first.p == second.p).all()
    for data, given, message in (
        (prediction, None, "as `section`"),
        (prediction, other, "not of section"),
    ):
        with pytest.raises(hs.UsageError, match=message):
            hs.tl.detect(data, section=given, **words)  # type: ignore[arg-type]


def test_the_result_in_words_and_as_a_table(tested: CalibratedTiles) -> None:
    """A sentence a gene, a row a gene and tile, some of the genes; shapes that disagree are refused."""
    detection = tested.detect("q0.75", 0.1)
    assert detection.detected.any()
    assert all(gene in words for gene, words in zip(detection.genes, detection.sentences, strict=True))
    one = detection.only(["ZONE1"])
    table = one.to_frame()
    assert len(table) == len(one.tiles)
    assert one.area_mm2[0] == pytest.approx(table["detected"].sum() * 0.01)
    assert (table["detected"] == (table["q"] <= 0.1)).all()
    with pytest.raises(DataError, match="Expected thresholds and reasons"):
        replace(one, reasons=())


def test_a_tile_is_at_least_a_spot() -> None:
    """The least width is that of a square of the spot's area; no tile lies off the tissue."""
    section = hs.synthetic(columns=8, rows=8, genes=12, lattice="square").section
    assert least_tile_um(section) == pytest.approx(100 * np.pi**0.5 / 2)
    with pytest.raises(hs.UsageError, match="on the tissue"):
        tiles_at(section, np.array([[-5000.0, -5000.0]]), 200.0)
    assert len(tiles_at(section, np.array([[-5000.0, -5000.0]]), 200.0, anywhere=True)) == 1
