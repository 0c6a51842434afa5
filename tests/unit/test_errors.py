"""Errors have the exit codes of the documents."""

from __future__ import annotations

from histosge.errors import DataError, HistosgeError, OutputError, UsageError, WeightsError


def test_exit_codes_are_those_documented() -> None:
    """2 usage, 3 data and output, 4 weights, 1 everything else."""
    kinds = (UsageError, DataError, OutputError, WeightsError, HistosgeError)
    assert [kind.exit_code for kind in kinds] == [2, 3, 3, 4, 1]
