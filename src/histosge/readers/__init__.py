"""Reading the world: one file a format."""
