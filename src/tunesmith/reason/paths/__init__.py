"""Ways of reasoning, one a file."""
