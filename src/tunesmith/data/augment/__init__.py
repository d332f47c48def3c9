"""Ways to make more rows out of training rows; each file is a component."""
