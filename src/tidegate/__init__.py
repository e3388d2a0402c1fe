"""Tidegate keeps Docker Compose clusters up to date, and puts them back when an update is bad."""

__version__ = "0.1.0"
