"""HEST-Benchmark: expression of 50 genes from patches, in samples of other patients."""
