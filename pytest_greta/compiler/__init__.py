"""From source and target to code, and what code takes."""
