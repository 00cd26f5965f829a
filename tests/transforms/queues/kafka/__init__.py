"""Tests of transforms/queues/kafka."""
