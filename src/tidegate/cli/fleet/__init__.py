"""The commands that speak with a manager: what runs where, what goes out, and what is to be stopped."""
