"""Floor 1: Everything that knows transformers and peft."""
