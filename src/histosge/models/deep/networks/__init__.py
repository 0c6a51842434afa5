"""Networks: PyTorch modules without training, files or spots; imported only where a model is fitted or used."""
