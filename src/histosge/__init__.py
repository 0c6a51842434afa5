"""High-resolution gene expression from a histology image and a spatial-transcriptomics section."""
