"""Floor 2: Scorers, metrics, statistics, verdicts, report."""
