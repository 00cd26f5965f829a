"""Tests of pipelines/cli."""
