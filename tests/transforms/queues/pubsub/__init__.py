"""Tests of transforms/queues/pubsub."""
