"""Where Watchtower does the updating: it is told when, what it has done is proved, and put back where that fails."""
