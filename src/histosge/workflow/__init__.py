"""From a recipe to files: fit, predict, write."""
