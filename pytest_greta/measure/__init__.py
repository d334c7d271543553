"""One measurement on a device: what it does, what it finds."""
