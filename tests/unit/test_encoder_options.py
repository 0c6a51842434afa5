"""Options of the command line about encoders: one value, or one for each encoder; what is not used is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import histosge as hs
from histosge.cli.encoder_values import patch_widths, weight_files
from histosge.cli.options import (
    ComputeOptions,
    EncoderOptions,
    FitOptions,
    ModelOptions,
    SeedOptions,
)
from histosge.cli.recipe import name_unused_of_fit, recipe_of
from histosge.workflow.steps import fit_to_folder

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section


def test_a_value_is_for_all_encoders_or_for_the_one_that_is_named(tmp_path: Path) -> None:
    """`FILE` and `uni=FILE`, `112` and `uni=112`; a file whose name holds the sign is a file."""
    assert weight_files(None) is None
    assert weight_files(["a.bin"]) == Path("a.bin")
    assert weight_files(["uni=a.bin", "timm:vgg16@2=b.pth"]) == {
        "uni": Path("a.bin"),
        "timm:vgg16@2": Path("b.pth"),
    }
    odd = tmp_path / "a=b.bin"
    odd.touch()
    assert weight_files([str(odd)]) == odd
    assert patch_widths(["80"]) == 80.0
    assert patch_widths(["texture=55", "uni=112"]) == {"texture": 55.0, "uni": 112.0}


@pytest.mark.parametrize("texts", [["a.bin", "b.bin"], ["uni=a.bin", "uni=b.bin"], ["uni=a.bin", "b.bin"]])
def test_several_values_need_the_names_of_their_encoders(texts: list[str]) -> None:
    """Two files, or two of one encoder, are refused with the form that is expected."""
    with pytest.raises(hs.UsageError, match="ENCODER=VALUE"):
        weight_files(texts)


def test_a_width_is_a_number() -> None:
    """Words are refused."""
    with pytest.raises(hs.UsageError, match="number of µm, got 'wide'"):
        patch_widths(["uni=wide"])


def recipe(encoder: str, *weights: str) -> hs.Recipe:
    """Return the recipe of options."""
    result: hs.Recipe = recipe_of(ModelOptions(), EncoderOptions(encoder, list(weights)), SeedOptions())
    return result


def test_weights_that_no_encoder_reads_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A file for `texture` is not used, and that is said; the name of an encoder that is not asked for is refused."""
    assert recipe("texture+colour", "f.bin").encoder == "texture+colour"
    assert "Not used: `weights`. 'texture' has no weights." in capsys.readouterr().err.replace("\n", " ")
    recipe("texture+uni", "f.bin")
    assert capsys.readouterr().err == ""
    with pytest.raises(hs.UsageError, match="names 'uni2', but the `encoder` is texture\\+uni"):
        recipe("texture+uni", "uni2=f.bin")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("kriging", "Not used: `weights` and `precision`. 'kriging' reads no features."),
        ("ridge", "Not used: `precision`. 'texture' has no weights."),
    ],
)
def test_predicting_says_what_the_fit_does_not_read(
    model: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights and precision given to a fit without features, or whose encoder has no weights, are named."""
    fit_to_folder(SECTION, hs.Recipe(model=model, genes="all"), out=tmp_path)
    capsys.readouterr()
    name_unused_of_fit(FitOptions(tmp_path), ComputeOptions())
    assert capsys.readouterr().err == ""
    name_unused_of_fit(FitOptions(tmp_path, ["f.bin"]), ComputeOptions(precision="bf16"))
    assert sentence in capsys.readouterr().err.replace("\n", " ")
