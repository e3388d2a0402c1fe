"""A process of its own for background work that computes for seconds, so that it keeps no request waiting.

`process` is the server's side, `__main__` the worker's. They share the database and talk over a socket pair (`line`):
what either publishes is heard by both, and who writes to a SQLite database waits for the turn that all share (`turns`).
"""
