"""Tests of pipelines/beam_yaml."""
