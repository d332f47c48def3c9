"""Shelf of sources: where rows come from. A file that starts with an underscore is a part, not a component."""
