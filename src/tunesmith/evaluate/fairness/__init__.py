"""Fairness between protected groups: gaps with intervals, counterfactual flips, BBQ, and a threshold as a remedy."""
