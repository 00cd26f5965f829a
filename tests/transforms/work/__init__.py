"""Tests of transforms/work."""
