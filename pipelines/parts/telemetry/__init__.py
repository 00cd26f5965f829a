"""The parts of telemetry_rollup: events, and the roll-up of many events."""
