"""Predictions below the scale of spots against a finer truth: single cells, or fine bins."""
