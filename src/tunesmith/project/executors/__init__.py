"""Shelf of executors: where work on shards is done. Which one it is never shows in a result."""
