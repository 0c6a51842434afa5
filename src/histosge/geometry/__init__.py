"""Points, lattices, polygons and distances, in micrometres."""
