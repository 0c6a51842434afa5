"""Predictions, how sure they are, and what they are made of."""
