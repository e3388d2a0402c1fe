"""Rollouts: what is decided is written down together with what follows from it."""
