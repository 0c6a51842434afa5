"""Slide images, tissue masks and patches."""
