"""Ways to find solved examples, one a file."""
