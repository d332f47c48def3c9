"""Shelf of strategies: which weights are trained."""
