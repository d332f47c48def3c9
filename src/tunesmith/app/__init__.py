"""Floor 4: The workshop (service) and the command line."""
