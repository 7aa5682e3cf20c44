"""What an API function returns when its answer has no end of its own."""
