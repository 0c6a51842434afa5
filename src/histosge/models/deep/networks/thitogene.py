"""The network of THItoGene (Jia et al. 2024): dynamic convolution, capsules, a transformer, graph attention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from histosge.models.deep.inputs import Batch

from .graph import GraphAttention, nearest_edges
from .transformer import TransformerBlock

__all__ = ["Capsules", "DynamicConvolution", "THItoGeneNetwork", "THItoGeneShape", "squash"]

# against division by the length of a capsule of zeros
_EPSILON = 1e-20


@dataclass(frozen=True, slots=True)
class THItoGeneShape:
    """What the number of parameters depends on, and what locations attend to."""

    genes: int
    positions: int
    depth: int
    heads: int
    head_width: int
    hidden: int
    dropout: float
    graph_heads: int
    graph_hidden: int
    graph_out: int
    slope: float
    neighbours: int
    graph_in_um: bool
    published_axis: bool
    raw: bool


class THItoGeneNetwork(nn.Module):
    """Capsules of a patch and of its position, a transformer, graph attention, a gene head."""

    def __init__(self, shape: THItoGeneShape) -> None:
        super().__init__()
        self.divisor = 1.0 if shape.raw else 255.0
        self.neighbours, self.graph_in_um = shape.neighbours, shape.graph_in_um
        # 112 → 28 pixels here, then 28 → 24 → 22 → 20 → 9 by the convolutions
        self.dynamic = DynamicConvolution()
        self.convolutions = _convolutions()
        self.capsules = Capsules()
        out = self.capsules.out
        self.column, self.row = nn.Embedding(shape.positions, out), nn.Embedding(shape.positions, out)
        # 20 capsules of the patch and one each of column and row: 1408
        width = (self.capsules.number + 2) * out
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(
                    width,
                    heads=shape.heads,
                    head_width=shape.head_width,
                    hidden=shape.hidden,
                    dropout=shape.dropout,
                )
                for _ in range(shape.depth)
            )
        )
        self.graph = GraphAttention(
            width,
            heads=shape.graph_heads,
            hidden=shape.graph_hidden,
            out=shape.graph_out,
            dropout=shape.dropout,
            slope=shape.slope,
            published_axis=shape.published_axis,
        )
        self.head = nn.Sequential(
            nn.Linear(shape.graph_out, 1024), nn.ReLU(), nn.LayerNorm(1024), nn.Linear(1024, shape.genes)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return genes of a window of locations that attend to each other."""
        features = self.convolutions(torch.relu(self.dynamic(batch.images / self.divisor)))
        capsules = self.capsules(features)
        # positions beyond the tables take the nearest entry
        lattice = batch.lattice_xy.trunc().long().clamp(0, self.column.num_embeddings - 1)
        position = [self.column(lattice[:, 0]), self.row(lattice[:, 1])]
        tokens = torch.cat([capsules.flatten(1), *position], dim=1)
        edges = nearest_edges(batch.xy if self.graph_in_um else batch.lattice_xy, self.neighbours)
        output: Tensor = self.head(self.graph(self.blocks(self.dropout(tokens)), edges))
        return output


class DynamicConvolution(nn.Module):
    """Omni-dimensional dynamic convolution (Li et al. 2022): each patch has its own mix of four kernels."""

    def __init__(self, channels: int = 3, filters: int = 16, size: int = 4, kernels: int = 4) -> None:
        super().__init__()
        self.size, self.filters = size, filters
        # the published reduction by 16 would leave less than one channel of three
        reduced = max(int(channels * 0.0625), 16)
        self.weight = nn.Parameter(torch.empty(kernels, filters, channels, size, size))
        for kernel in self.weight:
            nn.init.kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, reduced, 1, bias=False),
            nn.BatchNorm2d(reduced),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.of_channels = nn.Linear(reduced, channels)
        self.of_filters = nn.Linear(reduced, filters)
        self.of_pixels = nn.Linear(reduced, size * size)
        self.of_kernels = nn.Linear(reduced, kernels)

    def forward(self, patches: Tensor) -> Tensor:
        """Return b × filters × h / size × w / size."""
        b, channels, height, width = patches.shape
        context = self.squeeze(patches)
        # four attentions multiply the kernels: over pixels, kernels, input channels and filters (Li et al. 2022)
        pixels = torch.sigmoid(self.of_pixels(context)).view(b, 1, 1, 1, self.size, self.size)
        kernels = torch.softmax(self.of_kernels(context), dim=1).view(b, -1, 1, 1, 1, 1)
        weight = (kernels * pixels * self.weight).sum(dim=1)
        # input channels are scaled before the convolution, which is the same as scaling the kernel
        scaled = patches * torch.sigmoid(self.of_channels(context))[:, :, None, None]
        # one group per patch: each is convolved with its own kernel
        grouped = nn.functional.conv2d(
            scaled.reshape(1, b * channels, height, width),
            weight.reshape(b * self.filters, channels, self.size, self.size),
            stride=self.size,
            groups=b,
        )
        output: Tensor = grouped.view(b, self.filters, *grouped.shape[-2:])
        return output * torch.sigmoid(self.of_filters(context))[:, :, None, None]


class Capsules(nn.Module):
    """Primary capsules and their routing by self-attention (Mazzia et al. 2021): no iterations."""

    primary, size = 16, 8
    number, out = 20, 64

    def __init__(self) -> None:
        super().__init__()
        channels = self.primary * self.size
        # a kernel as large as the map: each capsule entry is one number
        self.depthwise = nn.Conv2d(channels, channels, 9, groups=channels)
        self.weight = nn.Parameter(torch.empty(self.number, self.primary, self.size, self.out))
        nn.init.kaiming_normal_(self.weight)
        self.bias = nn.Parameter(torch.zeros(self.number, self.primary, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return b × 20 × 64 from b × 128 × 9 × 9."""
        primary = squash(self.depthwise(features).flatten(1).unflatten(1, (self.primary, self.size)))
        # each primary capsule j predicts each output capsule k by its own matrix
        votes = torch.einsum("bjd,kjde->bkje", primary, self.weight)
        return squash(((self.couplings(votes) + self.bias) * votes).sum(dim=2))

    def couplings(self, votes: Tensor) -> Tensor:
        """Return the weight of inputs for outputs, b × 20 × 16 × 1; over outputs the weights add up to 1."""
        # agreement of a vote with the sum of all votes, scaled as in attention (Mazzia et al. 2021)
        agreement = (votes * votes.sum(dim=2, keepdim=True)).sum(dim=-1, keepdim=True)
        return torch.softmax(agreement / math.sqrt(self.out), dim=1)


def squash(capsules: Tensor) -> Tensor:
    """Return capsules of the same direction and a length below 1."""
    length = capsules.norm(dim=-1, keepdim=True)
    # the length becomes 1 − exp(−length), which is near 0 for short capsules and never above 1
    squashed: Tensor = (1 - 1 / (torch.exp(length) + _EPSILON)) * capsules / (length + _EPSILON)
    return squashed


def _convolutions() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs, size, stride in ((16, 32, 5, 1), (32, 64, 3, 1), (64, 64, 3, 1), (64, 128, 3, 2)):
        convolution = nn.Conv2d(inputs, outputs, size, stride)
        nn.init.kaiming_normal_(convolution.weight)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
