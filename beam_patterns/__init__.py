"""Batch patterns for Apache Beam: `transforms`, ready `pipelines`, and `testing`."""

from importlib.metadata import PackageNotFoundError, version
from pkgutil import extend_path

# With the root of a checkout first on sys.path, this folder hides the installed package that has the other folders.
__path__ = extend_path(__path__, __name__)

try:
    __version__ = version("beam-patterns")
except PackageNotFoundError:  # A checkout on the path that is not installed.
    __version__ = "0+unknown"
