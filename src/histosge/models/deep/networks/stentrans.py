"""The network of stEnTrans (Xue et al. 2024): a transformer over the map of one gene."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["StEnTransNetwork"]

# numbers of tokens in memory at once, of each of some 15 intermediate values of 12 blocks: 120 MB of 32 bits
_AT_ONCE = 160_000
_DEPTH = 12


class StEnTransNetwork(nn.Module):
    """Patches of a map attend to each other; each returns the values at its own positions.

    Parameters
    ----------
    patch
        A token is patch × patch positions of the map.
    heads
        Of attention.
    channels
        Of a map: values, or values and where they are measured.
    phases
        Values at each position: the 4 of a doubled lattice, or 1.
    depth
        Number of blocks.
    extra_patch
        Whether a map gets a whole patch of zeros more where patches divide it.
    residual
        Whether the outputs are added to the map's own value at each position.
    doubled_exponent
        Whether the exponent of the position code is twice the usual one.
    """

    def __init__(
        self,
        patch: int,
        heads: int,
        *,
        channels: int = 1,
        phases: int = 4,
        depth: int = _DEPTH,
        extra_patch: bool = True,
        residual: bool = False,
        doubled_exponent: bool = False,
    ) -> None:
        super().__init__()
        self.patch, self.phases = patch, phases
        self.extra_patch, self.residual, self.doubled_exponent = extra_patch, residual, doubled_exponent
        width = 4 * patch**2
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                2 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        # the tokens themselves are the four values of each position, as published
        self.head = nn.Identity() if phases == 4 else nn.Linear(width, phases * patch**2)

    def maps_at_once(self, rows: int, columns: int) -> int:
        """Return of how many maps the intermediate values fit into memory: 11 of a Visium section."""
        tokens = (rows // self.patch + 1) * (columns // self.patch + 1)
        return max(1, _AT_ONCE // (tokens * 4 * self.patch**2))

    def forward(self, maps: Tensor) -> Tensor:
        """Return b × phases × h × w of b × channels × h × w."""
        rows, columns = maps.shape[-2:]
        p = self.patch
        # zeros to the right and below
        embedded = self.embed(nn.functional.pad(maps, (0, self._zeros(columns), 0, self._zeros(rows))))
        tokens = embedded.flatten(2).transpose(1, 2)
        exponent = 2.0 if self.doubled_exponent else 1.0
        tokens = tokens + _position_code(tokens.shape[1], tokens.shape[2], exponent, tokens.device)
        for block in self.blocks:
            tokens = block(tokens)
        values = self.head(tokens).transpose(1, 2).unflatten(1, (self.phases, p, p))
        values = values.unflatten(-1, tuple(embedded.shape[-2:]))
        # b × phases × p × p × rows × columns of patches: positions of a patch stand within its row and column
        whole: Tensor = values.permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
        outputs = whole[..., :rows, :columns]
        return maps[:, :1] + outputs if self.residual else outputs

    def _zeros(self, side: int) -> int:
        """Return how many rows or columns of zeros a side of the map gets."""
        needed = -side % self.patch
        return needed or self.patch if self.extra_patch else needed


def _position_code(tokens: int, width: int, exponent: float, device: torch.device) -> Tensor:
    """Return sines and cosines of the token's number (Vaswani et al. 2017), tokens × width."""
    number = torch.arange(tokens, dtype=torch.float32, device=device)[:, None]
    rate = 10_000.0 ** (-exponent * torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)
    return torch.stack([torch.sin(number * rate), torch.cos(number * rate)], dim=2).flatten(1)
