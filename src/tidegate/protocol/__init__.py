"""What agent and manager say to each other. No I/O; both sides use it, and a test holds it to recorded messages."""
