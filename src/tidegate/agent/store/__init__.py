"""What the agent keeps on disk: files a person can read, written so that a crash loses nothing."""
