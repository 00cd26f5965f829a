"""Batch patterns for Apache Beam: transforms, ready pipelines and tools for tests.

transforms          the patterns; `help(beam_patterns.transforms)` shows all of them
transforms.queues   reads and writes Kafka, Pub/Sub, SQLite, files and HTTP sources, chosen by a URI
transforms.work     workers for the WorkQueue pattern: commands, HTTP services
transforms.balance  the counters of a run: elements that came in, came out, were dropped, failed or were duplicates
transforms.extend   parts for patterns, queues and pipelines of your own
pipelines           ready pipelines, and parts for your own: `beam-patterns list`, `beam-patterns new my_flow`
testing             runs a pattern on a few items, checks the balance, repeats elements and bundles

>>> from beam_patterns.testing import run_pattern
>>> from beam_patterns.transforms import Filter, Splitter
>>> orders = [{"id": 1, "paid": True, "by": "email"}, {"id": 2, "paid": False, "by": "sms"}]
>>> run = run_pattern(Filter(lambda order: order["paid"]) | Splitter.by(lambda order: order["by"], "email"), orders)
>>> run["email"]
[{'id': 1, 'paid': True, 'by': 'email'}]

README.md has a first pipeline, docs/ the guides.
"""

from importlib.metadata import PackageNotFoundError, version
from pkgutil import extend_path

# In the root of a checkout, this folder is the first beam_patterns on sys.path; the installed one has the subpackages.
__path__ = extend_path(__path__, __name__)

try:
    __version__ = version("beam-patterns")
except PackageNotFoundError:  # A checkout on the path that is not installed.
    __version__ = "0+unknown"
