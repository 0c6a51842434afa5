"""Networks for photographs that answer genes: ST-Net's DenseNet-121, DeepSpaCE's VGG16, any other of timm's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from histosge.models.deep.batches import Tensors

__all__ = ["PhotographNetwork"]


class PhotographNetwork(nn.Module):
    """Normalise, look, answer."""

    def __init__(self, backbone: str, genes: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        import timm

        self.body = timm.create_model(backbone, pretrained=False, num_classes=genes)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        layer: nn.Linear = self.body.get_classifier()
        return layer

    def forward(self, seen: Tensors) -> Tensor:
        """Return genes at places seen one by one."""
        answer: Tensor = self.body((seen.windows - self.get_buffer("mean")) / self.get_buffer("std"))
        return answer
