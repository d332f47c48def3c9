"""Which tasks rows are: a catalogue of types, a classifier, and how much of the catalogue a snapshot covers."""
