"""Metrics: one file, one measure over scored rows."""
