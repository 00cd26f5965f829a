"""A folder or a queue as a work source, by the book's contract, for workers in any language.

    python -m beam_patterns.transforms.queues.http.server --folder '/videos/*.mp4' --port 8080
    python -m beam_patterns.transforms.queues.http.server --queue 'sqlite:///queues.db?topic=orders&group=labels'

`GET /api/v1/items` gives {"kind": "ItemList", "apiVersion": "v1", "items": [names]}, and `GET /api/v1/items/NAME` gives
{"kind": "Item", "apiVersion": "v1", "data": ...}. Source: Burns, Designing Distributed Systems, chapter 10.
"""

import argparse
import logging
from abc import ABC, abstractmethod
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.files import file_at, files_in, find_files
from ...base.message import Message
from ..registry import open_queue

__all__ = ["Folder", "QueueItems", "Source", "main", "server"]

_LOG = logging.getLogger(__name__)
_ITEMS = "/api/v1/items"


class Source(ABC):
    """What is offered."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of the items there are now."""

    @abstractmethod
    def data(self, name: str) -> Any:
        """An item's data, as JSON can express it. Raises KeyError for an unknown name."""


class Folder(Source):
    """Files as items, as `file:///videos/*.mp4` has them, not their content."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._listed = files_in(str(Path(pattern).absolute())), set[str]()

    def names(self) -> list[str]:
        """Absolute paths; hidden files are left out, as in a shell."""
        found = [file.path for file in find_files(self._pattern)]
        self._listed = set(found)
        return found

    def data(self, name: str) -> Any:
        """Only of a file that the pattern matches."""
        file = file_at(name) if name in self._listed or name in self.names() else None
        if file is None:
            raise KeyError(name)
        return file._asdict()


class QueueItems(Source):
    """The messages of a queue as items, read anew whenever they are listed."""

    def __init__(self, uri: str) -> None:
        self._queue = open_queue(uri)
        self._messages: dict[str, Message] = {}

    def names(self) -> list[str]:
        """Where each message stands: queue, partition and offset."""
        messages: dict[str, Message] = {}
        for split in self._queue.splits():
            for batch in self._queue.read(split):
                if isinstance(batch, UnreadableError):
                    _LOG.warning("left out: %s", batch)
                    continue
                messages |= {"/".join(map(str, message.source or ())): message for message in batch}
        self._messages = messages
        return list(messages)

    def data(self, name: str) -> Any:
        """The payload if it is JSON, else its text, else {"base64": ...}."""
        if name not in self._messages:
            self.names()
        value = self._messages[name].value or b"null"
        try:
            return orjson.loads(value)
        except ValueError:
            pass
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}


def server(source: Source, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """A server for `serve_forever()`; port 0 takes a free one, see `server_port`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                self._answer(200, self._found())
            except KeyError:
                self._answer(404, {"kind": "Error", "apiVersion": "v1", "message": "there is nothing of that name"})
            except (QueueError, OSError) as error:
                self._answer(503, {"kind": "Error", "apiVersion": "v1", "message": str(error)})

        def _found(self) -> dict[str, Any]:
            path = urlsplit(self.path).path
            if path.rstrip("/") == _ITEMS:
                return {"kind": "ItemList", "apiVersion": "v1", "items": source.names()}
            if not path.startswith(f"{_ITEMS}/"):
                raise KeyError(path)
            return {"kind": "Item", "apiVersion": "v1", "data": source.data(unquote(path.removeprefix(f"{_ITEMS}/")))}

        def _answer(self, status: int, said: Any) -> None:
            body = orjson.dumps(said)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            _LOG.debug(format, *arguments)

    return ThreadingHTTPServer((host, port), Handler)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--folder", help="a folder, or a pattern such as '/videos/*.mp4'")
    what.add_argument("--queue", help="the URI of a queue")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = Folder(given.folder) if given.folder else QueueItems(given.queue)
    serving = server(source, given.host, given.port)
    _LOG.info("items at http://%s:%d%s", given.host, serving.server_port, _ITEMS)
    try:
        serving.serve_forever()
    except KeyboardInterrupt:
        serving.server_close()


if __name__ == "__main__":
    main()
