"""Factor cokriging with histology."""
