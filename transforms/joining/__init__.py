"""What Join stands on: the barrier, and items that wait for their parts."""
