"""Floor 2: From sources to a clean, split, documented snapshot."""
