"""Simple models that every other model is compared with."""
