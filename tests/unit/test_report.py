"""The report's parts: what a page carries is what the files hold, and damage is values in a sentence."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

import histosge as hs
from histosge import pl
from histosge._runtime.records import record_text
from histosge.datasets import synthetic
from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.io.writers import factors, h5ad
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.report import write
from histosge.report.codes import pack
from histosge.report.contents import collect
from histosge.report.labels import labels_in
from histosge.report.measured import Measured, chunks
from histosge.report.pack import blob, quantised, varints
from histosge.report.page_data import _reach
from histosge.report.pyramid import TILE_PX, pyramid

SECTION = synthetic(columns=8, rows=8, genes=12).section
LOCATIONS = hs.upsampled(SECTION, 4)
RNG = np.random.default_rng(0)
FACTORED = FactoredPrediction(
    LOCATIONS,
    Basis(
        SECTION.genes,
        RNG.normal(1, 1, 12),
        RNG.normal(0, 1, (12, 3)),
        np.full(12, 0.3),
        np.full(12, 1.2),
        np.linspace(-0.1, 0.9, 12),
    ),
    RNG.normal(0, 1, (len(LOCATIONS), 3)),
    RNG.gamma(2, 0.2, (len(LOCATIONS), 3)),
)
RECORD: dict[str, Any] = {
    "section": {
        "name": "</script>slice & dice",
        "platform": "synthetic",
        "spots": len(SECTION),
        "genes": 12,
        "pitch_um": 100.0,
        "mpp": SECTION.mpp,
        "fingerprint": SECTION.fingerprint,
    },
    "model": {"name": "cokriging", "config": {}, "uses_image": True, "uses_position": True},
    "recipe": {"seed": 7, "genes": "all"},
    "genes": [str(name) for name in SECTION.genes],
    "messages": [{"level": "warning", "text": "11 barcodes have no position."}],
    "fit": {"calibration": {"levels": [0.5, 0.9], "coverage": [0.48, 0.91]}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a run with a prediction by factors."""
    factors.write(tmp_path / "factors.h5ad", SECTION, FACTORED)
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    return tmp_path


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def numbers(stream: bytes) -> Iterator[int]:
    """Read seven-bit integers, as the page does."""
    value = shift = 0
    for byte in stream:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


@pytest.mark.parametrize("bits", [8, 16])
def test_codes_lie_within_half_a_step(bits: int) -> None:
    """Decoded numbers differ by at most ``error``; constant rows are exact."""
    rows = np.vstack([RNG.normal(0, 5, 200), np.full(200, 3.25), RNG.gamma(0.1, 1, 200)])
    codes = quantised(rows, bits)
    back = codes.low[:, None] + codes.step[:, None] * codes.codes
    assert (np.abs(back - rows).max(axis=1) <= codes.error * (1 + 1e-9)).all()
    assert np.abs(back[1] - 3.25).max() < 1e-9
    assert codes.error[0] <= np.ptp(rows[0]) / (2**bits - 1) / 2 * (1 + 1e-9)


def test_integers_of_any_length_come_back() -> None:
    """Integers of one to four bytes are decoded in order."""
    values = np.array([0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 5])
    assert list(numbers(varints(values))) == values.tolist()


def test_counts_come_back_gene_by_gene() -> None:
    """Chunks have the exact spots and counts of each gene, in the order of the columns."""
    counts = sparse.random(50, 700, density=0.2, random_state=0, format="csc")
    counts.data = np.ceil(counts.data * 300)
    spots = Points(RNG.uniform(0, 100, (50, 2)), np.arange(50).astype(str), 5.0)
    genes = np.array([f"G{i}" for i in range(700)])
    held = Measured(spots, genes, sparse.csc_matrix(counts), np.full(50, 1000.0))
    order = RNG.permutation(700)
    found = chunks(held, order, budget_bytes=10**9)
    assert len(found) > 1
    assert sum(chunk.genes for chunk in found) == 700
    at = 0
    for chunk in found:
        stream = list(numbers(unpacked(chunk.text)))
        sizes = stream[: chunk.genes]
        total = sum(sizes)
        gaps, values = stream[chunk.genes : chunk.genes + total], stream[chunk.genes + total :]
        start = 0
        for size in sizes:
            column = np.zeros(50)
            column[np.cumsum(gaps[start : start + size])] = values[start : start + size]
            assert np.array_equal(column, counts[:, [order[at]]].toarray().ravel())
            start, at = start + size, at + 1


def test_a_budget_keeps_the_genes_most_wanted() -> None:
    """Chunks beyond the budget are left out whole, from the end."""
    held = Measured.of(SECTION, SECTION.genes)
    whole = chunks(held, np.arange(12), budget_bytes=10**9)
    assert chunks(held, np.arange(12), budget_bytes=len(whole[0].text) - 1) == []


@pytest.mark.parametrize("many", [False, True])
def test_factors_and_columns_are_as_exact_as_they_say(many: bool) -> None:
    """Decoded means and standard deviations differ from the file's by at most the stated errors."""
    prediction = FACTORED if not many else replace(FACTORED, score_sd=None).whole()
    packed = pack(prediction)
    n, g = len(LOCATIONS), 12
    if many:
        about = packed.about["columns"]["mean"]
        codes = np.frombuffer(unpacked(packed.blobs["mean.0"]), "<u2").reshape(g, n)
        found = (np.array(about["low"])[:, None] + np.array(about["step"])[:, None] * codes).T
        assert np.abs(found - prediction.mean).max() <= packed.error * 1.0001
        assert packed.error_sd is None
        return
    assert isinstance(prediction, FactoredPrediction)
    about = packed.about["factors"]
    parts = {
        name: np.array(about[name]["low"])[:, None]
        + np.array(about[name]["step"])[:, None]
        * np.frombuffer(unpacked(packed.blobs[name]), "<u2").reshape(3, n)
        for name in ("scores", "score_sd")
    }
    step = np.frombuffer(unpacked(packed.blobs["loading_step"]), "<f4")[:, None]
    loadings = np.frombuffer(unpacked(packed.blobs["loadings"]), "<i2").reshape(g, 3) * step.astype(float)
    mean = np.maximum(prediction.basis.offset + (loadings @ parts["scores"]).T, 0)
    sd = np.sqrt((loadings**2 @ parts["score_sd"] ** 2).T) * 1.2
    whole = prediction.whole()
    assert whole.sd is not None
    assert packed.error_sd is not None
    assert 0 < np.abs(mean - whole.mean).max() <= packed.error + 1e-6
    assert 0 < np.abs(sd - whole.sd).max() <= packed.error_sd + 1e-6


def test_tiles_make_up_the_image() -> None:
    """The tiles of the first level are the image; each level has half the pixels of the previous one."""
    y, x = np.mgrid[0:700, 0:1100]
    rgb = np.stack([x / 1100 * 255, y / 700 * 255, 128 + 0 * x], axis=2).astype(np.uint8)
    found = pyramid(SlideImage.from_array(rgb, 2.0))
    top = found.levels[0]
    whole = np.zeros_like(rgb)
    for index, tile in enumerate(top.tiles):
        row, column = divmod(index, -(-1100 // TILE_PX))
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(tile))))
        whole[row * TILE_PX :, column * TILE_PX :][: pixels.shape[0], : pixels.shape[1]] = pixels
    assert np.abs(whole.astype(float) - rgb).mean() < 2
    assert found.mpp == 2.0
    assert [(level.width_px, level.height_px) for level in found.levels] == [
        (1100, 700),
        (550, 350),
        (275, 175),
    ]


def test_a_large_image_is_reduced() -> None:
    """The tiles stay near the budget, and ``mpp`` is the reduced resolution."""
    rgb = RNG.integers(0, 255, (1600, 1600, 3), dtype=np.uint8)
    found = pyramid(SlideImage.from_array(rgb, 1.0), budget_bytes=400_000)
    spent = sum(len(tile) for level in found.levels for tile in level.tiles)
    assert found.mpp > 1.5
    assert spent < 600_000


def test_the_page_needs_nothing_from_outside(folder: Path) -> None:
    """The page loads no address, its policy forbids it, and names are escaped."""
    text = write(folder).read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", text.split("<script")[0])
    assert "sourceMappingURL" not in text
    assert "<title>&lt;/script&gt;slice &amp; dice" in text
    about = re.search(r'id="about">(.*?)</script>', text, re.S)
    assert about
    assert json.loads(about.group(1))["title"] == "</script>slice & dice"


def test_the_page_states_its_contents(folder: Path) -> None:
    """Measured and predicted values, r_loo, coverage, warnings and seed are in sentences."""
    text = write(folder).read_text()
    for words in (
        f"Measured: {len(SECTION)} spots",
        f"at the other {len(LOCATIONS) - len(SECTION)} nothing was measured",
        "Of 12 expressed genes, 5 reach a correlation r of 0.5 or more",
        "Intervals with a nominal level of 90% contained 91%",
        "11 barcodes have no position.",
        "<dt>seed</dt><dd>7</dd>",
        "exact counts",
    ):
        assert words in text, words


@pytest.mark.parametrize(("auxiliary", "mentioned"), [(0.0, False), (0.25, True)])
def test_the_page_states_the_contribution_of_image_and_auxiliary_sections(
    folder: Path, auxiliary: float, mentioned: bool
) -> None:
    """Both shares, and the r_loo of a shuffled image; auxiliary sections only where there are any."""
    r_loo = {"fitted": 0.4, "positions": 0.3, "shuffled_image": 0.2}
    fit = {"image_weight": 0.5, "weight_of_histology": 0.31, "r_loo_factors": r_loo}
    (folder / "run.json").write_text(json.dumps(RECORD | {"fit": fit | {"weight_of_auxiliary": auxiliary}}))
    text = write(folder).read_text()
    assert "31% of the variance of the prediction is attributed to histology" in text
    assert ("25% to auxiliary sections" in text) == mentioned
    assert "<td>shuffled image</td><td>–</td><td>0.200</td>" in text


JUDGED = {
    "image_weight": 0.25,
    "mean_r_loo": 0.156,
    "mean_r_loo_given_depth": 0.11,
    "mean_r_loo_without_image": 0.151,
    "mean_r_loo_image_gain_se": 0.001,
    "reliable_genes": 5,
    "expressed_genes": 11,
}


def test_the_first_lines_say_what_is_reliable_and_what_the_image_added(folder: Path) -> None:
    """Two sentences at the top, the same as in ``run.json``; the shares of variance stand in the details alone."""
    (folder / "run.json").write_text(json.dumps(RECORD | {"fit": JUDGED}))
    text = write(folder).read_text()
    top, details = text.split('<aside id="about-run"')[0], text.split('<aside id="about-run"')[1]
    assert "<dt>Accuracy</dt><dd>5 of 11 expressed genes fitted have a reliable map" in top
    assert "<dt>Image</dt><dd>The image raised r" in top
    assert "from 0.151 to 0.156 (±\u00a00.001)" in top
    assert "% of the variance of the prediction" not in top
    assert "0% of the variance of the prediction" in details
    assert "<td>position only</td><td>0.151</td><td>–</td>" in details


def test_a_gene_is_graded_by_the_stricter_correlation(folder: Path) -> None:
    """The page has r given depth, bounds and grade of each gene; the panel counts genes that follow total counts."""
    r = np.linspace(-0.1, 0.9, 12)
    grade = np.array(["unknown", "none", "none", *["weak"] * 3, *["fair"] * 3, *["strong"] * 3])
    basis = replace(
        FACTORED.basis, r_loo_given_depth=0.2 * r, r_loo_low=r - 0.1, r_loo_high=r + 0.1, grade=grade
    )
    packed = pack(replace(FACTORED, basis=basis))
    codes = np.frombuffer(unpacked(packed.blobs["grade"]), "<f4")
    assert np.isnan(codes[0])
    assert codes[1:].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {"r_loo_given_depth", "r_loo_low", "r_loo_high"} <= set(packed.about["tables"])
    factors.write(folder / "factors.h5ad", SECTION, replace(FACTORED, basis=basis))
    text = write(folder).read_text()
    assert f"For {int((r >= 0.15).sum())} genes the pattern is mostly that of total counts." in text
    assert "the mean r is 0.08 in place of 0.40" in text


def test_scores_stand_beside_the_baselines(folder: Path) -> None:
    """``scores.json`` of an evaluation in the folder becomes a table, best first."""
    rows = [
        {
            "section": "s",
            "split": "random:0.5",
            "set": "test",
            "model": model,
            "pcc": pcc,
            "skill": 0.1,
            "mse": 1.0,
        }
        for model, pcc in (("kriging", 0.2), ("cokriging", 0.31))
    ]
    (folder / "scores.json").write_text(json.dumps({"rows": rows}))
    text = write(folder).read_text()
    assert text.index("<td>cokriging</td><td>0.310</td>") < text.index("<td>kriging</td><td>0.200</td>")


def test_a_table_of_scores_says_what_each_model_is(folder: Path) -> None:
    """The table lists the summaries of the models' cards."""
    row = {"section": "s", "split": "random:0.5", "set": "test", "pcc": 0.2, "skill": 0.1, "mse": 1.0}
    rows = [row | {"model": "idw", "preset": "neighbours=6"}, row | {"model": "somebody's"}]
    (folder / "scores.json").write_text(json.dumps({"rows": rows}))
    text = write(folder).read_text()
    assert "<dt>idw</dt><dd>Inverse distance weighting of the nearest spots.</dd>" in text
    assert "<dt>somebody" not in text


def test_tiles_of_a_small_ragged_section_do_not_bulge() -> None:
    """Tiles of a small irregular section reach to the corners of their square."""
    columns, rows = np.meshgrid(np.arange(12.0), np.arange(9.0))
    xy = 100 * np.column_stack([columns.ravel(), rows.ravel()])
    # a wedge, each row of it shifted a little, as spots of legacy arrays are
    xy = xy[np.abs(xy[:, 1] - 400) < 40 + 0.4 * xy[:, 0]]
    xy += np.random.default_rng(1).uniform(-6, 6, xy.shape)
    assert 70 < _reach(xy, 98.0) < 92


def test_labels_are_of_locations_or_of_spots(folder: Path) -> None:
    """A table with all locations labels locations, a table with the spots labels spots; numbers sort as numbers."""
    labels = np.arange(len(LOCATIONS)) % 11
    rows = "".join(f"{name}\t{label}\n" for name, label in zip(LOCATIONS.points.ids, labels, strict=True))
    (folder / "domains.tsv").write_text("location\tseed0\n" + rows)
    (folder / "domains.json").write_text('{"method": "kmeans"}')
    spots = "".join(f"{name},{'ab'[row % 2]}\n" for row, name in enumerate(SECTION.spots.ids))
    (folder / "domains_spots.csv").write_text("spot,stagate\n" + spots)
    one, two = labels_in(folder, LOCATIONS.points.ids, SECTION.spots.ids)
    assert (one.of, one.name, one.names) == ("locations", "kmeans, seed 0", tuple(map(str, range(11))))
    assert np.array_equal(one.codes, labels)
    assert (two.of, two.names) == ("spots", ("a", "b"))
    assert "Domains by" in write(folder).read_text()
    (folder / "domains.tsv").write_text("location\tkmeans\nnobody\t1\n")
    with pytest.raises(DataError, match="names none of the locations of this run"):
        write(folder)


def test_a_changed_record_of_domains_is_refused(folder: Path) -> None:
    """The name of the method beside a table of domains is not read from a file that changed since it was written."""
    (folder / "domains.tsv").write_text(f"location\tseed0\n{LOCATIONS.points.ids[0]}\t1\n")
    changed = record_text({"method": "kmeans"}).replace("kmeans", "stagate")
    (folder / "domains.json").write_text(changed)
    with pytest.raises(DataError, match="its checksum is that of another content"):
        labels_in(folder, LOCATIONS.points.ids, SECTION.spots.ids)


def test_a_matrix_makes_a_report_too(tmp_path: Path) -> None:
    """The report of a model without factors has the values of ``prediction.h5ad``, measured ones included."""
    hs.run(SECTION, hs.Recipe(model="kriging", genes="all"), target=hs.Target(upsample=2), out=tmp_path)
    found = collect(tmp_path)
    assert found.measured is not None
    truth = Measured.of(SECTION, found.measured.genes).log_cp10k()
    own = {str(name): row for row, name in enumerate(SECTION.spots.ids)}
    rows = [own[str(name)] for name in found.measured.spots.ids]
    assert np.allclose(found.measured.log_cp10k().toarray(), truth[rows].toarray(), atol=1e-5)
    assert pl.report(tmp_path, SECTION, gene="ZONE1") == tmp_path / "report.html"


def test_a_matrix_too_large_keeps_the_genes_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes beyond the room of the page are left out, except those of the figures, and the page says so."""
    from histosge.report import folder as folders

    h5ad.write(tmp_path / "prediction.h5ad", SECTION, replace(FACTORED, score_sd=None).whole())
    (tmp_path / "run.json").write_text(json.dumps(RECORD | {"genes_shown": [str(SECTION.genes[-1])]}))
    monkeypatch.setattr(folders, "_MAX_VALUES", 5 * len(LOCATIONS))
    found = collect(tmp_path)
    assert len(found.prediction.genes) == 5
    assert SECTION.genes[-1] in found.prediction.genes
    assert "room for 5 of the 12 genes" in write(tmp_path).read_text()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """A folder without run, or without prediction, is refused in a sentence, and nothing is written."""
    with pytest.raises(UsageError, match="no run in"):
        write(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    with pytest.raises(UsageError, match="no prediction in"):
        write(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", ["factors.h5ad", "prediction.h5ad", "run.json", "scores.json"])
def test_truncated_files_are_told(folder: Path, name: str) -> None:
    """Each file, cut to half its length, is refused by name."""
    if name == "prediction.h5ad":
        (folder / "factors.h5ad").rename(folder / name)
    path = folder / name
    content = path.read_bytes() if path.exists() else b'{"rows": []'
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=name):
        write(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", {"section": 7}),
        ("run.json", {"section": {"pitch_um": "wide"}}),
        ("run.json", RECORD | {"files": ["factors.h5ad"]}),
        ("run.json", RECORD | {"messages": 5}),
        ("run.json", RECORD | {"encoder": {}}),
        ("run.json", RECORD | {"fit": {"calibration": {"levels": None}}}),
        ("run.json", RECORD | {"target": {"spacing_um": "x"}}),
        ("scores.json", {"rows": [1]}),
        ("scores.json", {"rows": [{"model": "mean"}]}),
        ("scores.json", {"rows": [{"model": "m", "section": "s", "split": "p", "set": "test", "pcc": "x"}]}),
        ("scores.json", []),
    ],
)
def test_records_of_another_layout_are_refused(folder: Path, name: str, content: Any) -> None:
    """A record whose parts have other types is refused by name; it never is a defect."""
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"{name}' is damaged"):
        write(folder)


def test_a_prediction_of_another_version_is_told(folder: Path) -> None:
    """A file without one of its parts is refused by name."""
    import h5py

    with h5py.File(folder / "factors.h5ad", "a") as file:
        del file["uns/histosge"]
    with pytest.raises(DataError, match=r"factors\.h5ad"):
        write(folder)


def test_another_section_and_an_unknown_gene_are_refused(folder: Path) -> None:
    """A section of other data is refused; an unknown gene is refused with near misses."""
    other = synthetic(columns=8, rows=8, genes=12, seed=1).section
    with pytest.raises(UsageError, match="has other data"):
        write(folder, section=other)
    with pytest.raises(UsageError, match="Did you mean"):
        write(folder, section=SECTION, first="TUMOR1")


def test_blobs_are_little_endian() -> None:
    """Arrays are little-endian whatever the byte order of the machine."""
    assert unpacked(blob(np.array([1, 256], dtype=">i4"))) == b"\x01\0\0\0\0\1\0\0"
