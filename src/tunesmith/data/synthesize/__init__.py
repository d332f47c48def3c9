"""Synthesizers: one file, one way to make instruction rows from documents, seeds or facts."""
