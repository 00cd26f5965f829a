"""What telemetry_rollup is made of: events, and what is kept of many."""
