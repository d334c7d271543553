"""Statistics of pairs, of runs, and of the shape of a series. Pure: no clock, no I/O."""
