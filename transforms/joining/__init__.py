"""The parts of Join: the barrier, and items that wait for their parts."""
