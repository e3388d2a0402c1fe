"""A small OCI distribution client: challenge, token, HEAD, index, back-off."""
