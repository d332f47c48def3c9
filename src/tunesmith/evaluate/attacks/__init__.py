"""Attacks on an expert: each file says how a question may be changed without another right answer."""
