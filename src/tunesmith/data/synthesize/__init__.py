"""Ways to have rows written by a model or out of facts; each file is a component."""
