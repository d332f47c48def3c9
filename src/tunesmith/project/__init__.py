"""Floor 3: The project file: check, fill, plan, run."""
