"""Batch patterns for Apache Beam: `transforms`, ready `pipelines`, and `testing`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("beam-patterns")
except PackageNotFoundError:  # A checkout on the path that is not installed.
    __version__ = "0+unknown"
