"""Evaluation of models at spots that no fitted step has used, with an audit of every fit."""
