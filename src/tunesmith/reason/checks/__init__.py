"""What looks for mistakes in a chain, one a file."""
