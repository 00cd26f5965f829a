"""Tests of transforms/joining."""
