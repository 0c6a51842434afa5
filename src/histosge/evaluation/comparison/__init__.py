"""Gene differences between regions of tissue; replicates are spots, sections or patients."""
