"""Floor 1: Everything that must last: run store and hash-chained ledger."""
