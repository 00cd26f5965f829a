"""Tests of transforms/queues/http."""
