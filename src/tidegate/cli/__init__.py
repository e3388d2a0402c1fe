"""One command, `tidegate`, with sub-commands."""
