"""Shelf of document formats: how the text is taken out of one file. Told apart by content."""
