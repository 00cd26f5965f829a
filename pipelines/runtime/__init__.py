"""What every pipeline shares: options, the run itself, progress, balance."""
