"""Networks: PyTorch modules and nothing of their training; imported where a model is fitted or restored."""
