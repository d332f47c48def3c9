"""Ways to make one answer of many chains, one a file."""
