"""The console: pages for people, made here and complete without a script."""
