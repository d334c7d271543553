"""Measurements as plain data: summary.json written, read, merged, signed, and gated again where nothing is measured."""
