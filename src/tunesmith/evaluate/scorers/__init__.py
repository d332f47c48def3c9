"""Scorers: one file, one way to judge one answer against its reference."""
