"""Pictures of sections and predictions; nothing here computes expression."""
