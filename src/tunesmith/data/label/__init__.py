"""Labels by people, by rules and by models: rounds, agreement, merging, weak supervision, review."""
