"""Whole programs: commands that are run, watched and read."""
