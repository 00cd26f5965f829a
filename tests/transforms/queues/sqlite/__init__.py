"""Tests of transforms/queues/sqlite."""
