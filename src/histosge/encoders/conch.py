"""CONCH and CONCH v1.5: vision towers of models of images and words, built by their authors' packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from histosge._runtime.device import require_deep
from histosge.errors import UsageError, WeightsError

from .base import EncoderCard, EncoderEntry, PatchSize, Setup
from .network import IMAGENET_MEAN, IMAGENET_STD, NetworkEncoder, network_output
from .strict_loading import refuse_other_values
from .weights import Module, Tensor, content_hash, find_weights, read_state

__all__ = ["CONCH", "CONCH15", "ENTRIES", "PackagedNetwork"]

_Channels: TypeAlias = "tuple[float, float, float]"

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class PackagedNetwork:
    """An encoder whose architecture is defined in its authors' package; calling it loads it.

    Parameters
    ----------
    card
        Describes the encoder.
    package
        What must be importable.
    install
        The command that installs it.
    files
        Names under which the weights are published.
    create
        From the file of weights to the network and what prepares its images.
    tower
        Prefix of the tensors that the vector of a patch depends on; they must be those of the file, every one.
    readout
        From network and pixels to vectors.
    """

    card: EncoderCard
    package: str
    install: str
    files: tuple[str, ...]
    create: Callable[[Path], tuple[Module, Any]]
    tower: str = ""
    readout: Callable[[Module, Tensor], Tensor] = network_output

    @property
    def entry(self) -> EncoderEntry:
        """What the registry holds."""
        return EncoderEntry(self.card, self)

    def __call__(self, setup: Setup) -> NetworkEncoder:
        """Find the weights, let the package make the network, and check that its tensors are those of the file.

        Raises
        ------
        UsageError
            When the package is not installed.
        WeightsError
            When the weights are missing, gated, damaged or another network's.
        """
        name = self.card.name
        require_deep(f"The encoder '{name}'")
        if find_spec(self.package) is None:
            raise UsageError(
                f"Encoder '{name}' needs the package '{self.package}', which is not installed: run `{self.install}`."
            )
        path = find_weights(self.card, self.files, setup.weights)
        state = read_state(path, name)
        try:
            network, transform = self.create(path)
        except (RuntimeError, KeyError, ValueError) as error:
            raise WeightsError(
                f"The package '{self.package}' could not load '{path}' ({type(error).__name__}); "
                f"give the file published for '{name}'."
            ) from error
        refuse_other_values(network, state, prefix=self.tower, name=name, path=path)
        mean, std = _normalisation(transform, name)
        return NetworkEncoder(
            # the package is the authority on its own preprocessing
            card=replace(self.card, mean=mean, std=std),
            network=network.eval().requires_grad_(False).float().to(setup.device),
            px=self.card.patches[0].px,
            weights_hash=content_hash(path),
            device=setup.device,
            precision=setup.precision,
            readout=self.readout,
            interpolation="bicubic",
        )


def _normalisation(transform: Any, name: str) -> tuple[_Channels, _Channels]:
    """Return the mean and standard deviation in a composed transform."""
    for step in getattr(transform, "transforms", ()):
        if hasattr(step, "mean") and hasattr(step, "std"):
            mean, std = ([float(value) for value in values] for values in (step.mean, step.std))
            return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
    raise WeightsError(
        f"The package of '{name}' does not say how it normalises images; "
        "install the version its authors publish, or choose another encoder."
    )


def _create_conch(path: Path) -> tuple[Module, Any]:
    package = import_module("conch.open_clip_custom")
    network, transform = package.create_model_from_pretrained("conch_ViT-B-16", checkpoint_path=str(path))
    return network, transform


def _image_vector(network: Module, pixels: Tensor) -> Tensor:
    """Return the image's vector before its projection to the space shared with words, at its own length."""
    vector: Tensor = network.encode_image(pixels, proj_contrast=False, normalize=False)
    return vector


def _create_conch15(path: Path) -> tuple[Module, Any]:
    package = import_module("trident.patch_encoder_models.model_zoo.conchv1_5.conchv1_5")
    network, transform = package.create_model_from_pretrained(checkpoint_path=str(path), img_size=448)
    return network, transform


CONCH = PackagedNetwork(
    card=EncoderCard(
        name="conch",
        dim=512,
        # published for tiles of 512 px at 0.5 µm/px, resized
        patches=(PatchSize(256.0, 448),),
        mean=_CLIP_MEAN,
        std=_CLIP_STD,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        source="MahmoodLab/conch",
        revision=None,
        citation="lu2024conch",
        summary="Vision tower (ViT-B/16) of a model of 1.17 million images and captions; needs the package conch.",
    ),
    package="conch",
    install="pip install git+https://github.com/mahmoodlab/CONCH.git",
    files=("pytorch_model.bin",),
    create=_create_conch,
    tower="visual.",
    readout=_image_vector,
)

CONCH15 = PackagedNetwork(
    card=EncoderCard(
        name="conch15",
        dim=768,
        patches=(PatchSize(256.0, 448),),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        source="MahmoodLab/conchv1_5",
        revision=None,
        citation="ding2024titan",
        summary="CONCH v1.5 (ViT-L/16), the patch encoder of TITAN; needs the package trident.",
    ),
    package="trident",
    install="pip install git+https://github.com/mahmoodlab/TRIDENT.git",
    files=("pytorch_model_vision.bin",),
    create=_create_conch15,
)

ENTRIES = (CONCH.entry, CONCH15.entry)
