"""Files, hashes, devices, registries and records: what every other room uses."""
