"""Data sets, and a synthetic tissue whose truth is known everywhere."""
