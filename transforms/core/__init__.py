"""What the patterns are made of: routing, batches, keyed state, combiners. Nothing here is public."""
