"""What can be gated, how gates.yaml says it, and how a measured quantity becomes a verdict."""
