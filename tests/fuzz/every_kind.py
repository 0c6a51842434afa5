"""All kinds of input by name."""

from __future__ import annotations

from cell_kinds import CELL_KINDS
from own_kinds import OWN_KINDS
from reader_kinds import READER_KINDS

__all__ = ["KINDS"]

KINDS = {kind.name: kind for kind in (*READER_KINDS, *CELL_KINDS, *OWN_KINDS)}
