"""Judging models: on spots that nothing fitted has seen, by one protocol, with an audit of every run."""
