"""Tests of transforms/queues."""
