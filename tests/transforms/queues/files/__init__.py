"""Tests of transforms/queues/files."""
