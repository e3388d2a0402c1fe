"""What a pipeline runs to make a release of an image that it has pushed."""
