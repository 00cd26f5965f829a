"""What belongs to single flows, a folder each."""
