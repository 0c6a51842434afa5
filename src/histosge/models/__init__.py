"""Models: samples in, predictors out."""
