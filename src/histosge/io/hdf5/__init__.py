"""HDF5 files written piece by piece, in bounded memory, and whole or not at all."""
