"""Shelf of filters: which rows go on. A filter sees one row (`judge`) or all of them (`note`, `decide`)."""
