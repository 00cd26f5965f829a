"""The base of queues whose URI is a path."""

from pathlib import Path

from ...base.files import has_wildcards, is_local
from ..parameters import Parameter
from ..queue import Queue
from ..uri import QueueUri

__all__ = ["PathQueue"]


class PathQueue(Queue):
    """A queue whose URI is a path, or names one: `/data/*.csv`, `file:///data/*.csv`, `gs://bucket/*.csv`."""

    parameters = (Parameter("items", "`files`: each file is an item, whatever its content."),)
    counts_messages = False
    accepts_streams = False

    def __init__(self, uri: QueueUri) -> None:
        if "?group=" in uri.text or "group" in uri.params:
            raise ValueError(f"the queue {uri.text} is a file, which is always read whole; remove the group")
        super().__init__(uri)
        self._path = _path_of(uri)

    @classmethod
    def is_remote(cls, scheme: str) -> bool:
        """Other machines can reach a store such as gs://, but not a local disk."""
        return scheme != "file"

    @classmethod
    def under(cls, prefix: str, name: str, group: str = "") -> str:
        """A file of JSON lines; with a group, a topic in an SQLite database, because files keep no positions."""
        uri = QueueUri.parse(prefix)
        if not group:  # In a store each run writes new files, because appending needs locks.
            return f"{prefix}{name}{'' if is_local(uri.path) else '-*'}.jsonl"
        if not is_local(uri.path):
            raise ValueError(
                f"--{name}: files under {prefix} keep no positions, so they can't be read by a group; "
                "name a Kafka or SQLite queue"
            )
        return f"sqlite://{Path(uri.path + name).absolute()}.db?topic={name}&group={group}"

    def overlaps(self, other: Queue) -> bool:
        """Whether the paths are equal, or one is a pattern that matches the other."""
        if not isinstance(other, PathQueue):
            return False
        here, there = (Path(queue.uri.path).absolute() for queue in (self, other))
        return here == there or here.match(str(there)) or there.match(str(here))


def _path_of(uri: QueueUri) -> str:
    """The absolute path, because workers may run in another folder."""
    if uri.text.startswith("file://") and not uri.path.startswith("/"):
        raise ValueError(f"the queue {uri.text} needs an absolute path with three slashes: file:///{uri.path}")
    if uri.path.startswith("/") or not is_local(uri.path):
        return uri.path
    here = str(Path.cwd())
    # Wildcards in the folder's name would turn the path into a pattern.
    return uri.path if has_wildcards(here) else f"{here}/{uri.path.removeprefix('./')}"
