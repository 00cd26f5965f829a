"""Tests of transforms/base."""
