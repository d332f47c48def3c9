"""Floor 2: Tokens, bands, objective, the one loop, checkpoints."""
