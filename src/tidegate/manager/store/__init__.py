"""What the manager keeps: in SQLite or PostgreSQL, by one history of migrations."""
