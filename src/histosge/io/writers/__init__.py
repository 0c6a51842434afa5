"""Writing results: one file a format."""
