"""Shelf of terms: what the objective is made of."""
