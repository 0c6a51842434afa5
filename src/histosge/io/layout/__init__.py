"""How a prediction and its section are laid out in files, whatever the format."""
