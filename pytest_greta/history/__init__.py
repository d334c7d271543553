"""Runs that were stored: what is kept, what is accepted, and a run against its past."""
