"""Where releases come from, and what is known of them."""
