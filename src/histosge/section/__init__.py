"""A measured section, its locations, genes and splits, and what a model is given."""
