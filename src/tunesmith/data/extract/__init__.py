"""The shelf of extractors: each reads out of a text in one language what it states."""
