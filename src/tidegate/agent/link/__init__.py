"""The agent's side of its link to a manager. Loaded only where a manager is set."""
