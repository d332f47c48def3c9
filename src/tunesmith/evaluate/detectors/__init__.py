"""Detectors of questions that are not of the domain: each file is a component."""
