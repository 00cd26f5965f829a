"""What every pipeline shares: options, the run, progress and balance on the terminal."""
