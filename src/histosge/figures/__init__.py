"""Drawing: sections and predictions in, figures out."""
