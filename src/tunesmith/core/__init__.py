"""Floor 0: the nouns, the protocols and the few mechanisms that every room shares."""
