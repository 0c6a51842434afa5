"""Encoders: windows of tissue in, vectors out."""
