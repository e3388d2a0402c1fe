"""The agent: the loop, the transaction runner, recovery and its settings."""
