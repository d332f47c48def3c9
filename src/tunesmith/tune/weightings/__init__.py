"""Ways in which the weights of the terms move."""
