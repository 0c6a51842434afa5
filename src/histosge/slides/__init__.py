"""Sources of pixels, one file a format."""
