"""How the tables came to be, step by step; the same steps for SQLite and PostgreSQL."""
