"""Tests of pipelines/cel."""
