"""What texts state, as a graph: normalised forms, linking, queries, files, a picture, and rows to learn it from."""
