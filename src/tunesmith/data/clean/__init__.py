"""Shelf of cleaners: what repairs a text. Every cleaner is idempotent."""
