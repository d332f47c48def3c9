"""Floor 2: Business goal to measurable targets."""
