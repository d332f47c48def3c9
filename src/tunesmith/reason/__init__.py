"""Floor 2: From checkpoint to expert: how it thinks."""
