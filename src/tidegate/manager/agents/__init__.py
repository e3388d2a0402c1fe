"""The manager's side of the link to its agents."""
