"""A server that offers a folder or a queue as a work source, with the book's HTTP interface, to any language.

    python -m beam_patterns.transforms.queues.http.server --folder '/videos/*.mp4' --port 8080
    python -m beam_patterns.transforms.queues.http.server --queue 'sqlite:///queues.db?topic=orders&group=labels'

`GET /api/v1/items` returns {"kind": "ItemList", "apiVersion": "v1", "items": [names]}, and `GET /api/v1/items/NAME`
returns {"kind": "Item", "apiVersion": "v1", "data": ...}. Source: Burns, Designing Distributed Systems, chapter 10.
"""

import argparse
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from ...base.errors import QueueError, UnreadableError
from ...base.files import file_at, files_in, find_files
from ...base.message import Message
from ..record_json import text_or_base64
from ..registry import open_queue

__all__ = ["Folder", "QueueItems", "Source", "main", "server"]

_LOG = logging.getLogger(__name__)
_ITEMS = "/api/v1/items"


class Source(ABC):
    """The items that a server offers."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the current items."""

    @abstractmethod
    def data(self, name: str) -> Any:
        """An item's data, in a form that JSON can express. Raises KeyError for an unknown name."""


class Folder(Source):
    """Files as items, described as the queue `file:///videos/*.mp4` does: not their content."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._listed = files_in(str(Path(pattern).absolute())), set[str]()

    def names(self) -> list[str]:
        """Absolute paths, without hidden files, as in a shell."""
        found = [file.path for file in find_files(self._pattern)]
        self._listed = set(found)
        return found

    def data(self, name: str) -> Any:
        """Path, size and time of a file, if the pattern matches it."""
        file = file_at(name) if name in self._listed or name in self.names() else None
        if file is None:
            raise KeyError(name)
        return file._asdict()


class QueueItems(Source):
    """The messages of a queue as items. The queue is read whenever the items are listed."""

    def __init__(self, uri: str) -> None:
        self._queue = open_queue(uri)
        self._messages: dict[str, Message] = {}

    def names(self) -> list[str]:
        """The source of each message: queue, partition and offset."""
        messages: dict[str, Message] = {}
        for split in self._queue.splits():
            for batch in self._queue.read(split):
                if isinstance(batch, UnreadableError):
                    _LOG.warning("skipped an unreadable part: %s", batch)
                    continue
                messages |= {"/".join(map(str, message.source or ())): message for message in batch}
        self._messages = messages
        return list(messages)

    def data(self, name: str) -> Any:
        """The payload as JSON if it is JSON, as text if it is UTF-8, otherwise as {"base64": ...}."""
        if name not in self._messages:
            self.names()
        value = self._messages[name].value or b"null"
        try:
            return orjson.loads(value)
        except ValueError:
            return text_or_base64(value)


def server(source: Source, host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """A server on which to call `serve_forever()`. Port 0 selects a free port: see `server_port`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                self._respond(200, self._content())
            except KeyError:
                self._respond(404, {"kind": "Error", "apiVersion": "v1", "message": "no item has this name"})
            except (QueueError, OSError) as error:
                self._respond(503, {"kind": "Error", "apiVersion": "v1", "message": str(error)})

        def _content(self) -> dict[str, Any]:
            path = urlsplit(self.path).path
            if path.rstrip("/") == _ITEMS:
                return {"kind": "ItemList", "apiVersion": "v1", "items": source.names()}
            if not path.startswith(f"{_ITEMS}/"):
                raise KeyError(path)
            return {"kind": "Item", "apiVersion": "v1", "data": source.data(unquote(path.removeprefix(f"{_ITEMS}/")))}

        def _respond(self, status: int, content: Any) -> None:
            body = orjson.dumps(content)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            _LOG.debug(format, *arguments)

    return ThreadingHTTPServer((host, port), Handler)


def main(arguments: list[str] | None = None) -> None:
    """Runs the server from a command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    source_options = parser.add_mutually_exclusive_group(required=True)
    source_options.add_argument("--folder", help="a folder, or a pattern such as '/videos/*.mp4'")
    source_options.add_argument("--queue", help="the URI of a queue")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = Folder(options.folder) if options.folder else QueueItems(options.queue)
    with suppress(KeyboardInterrupt), server(source, options.host, options.port) as serving:
        _LOG.info("items at http://%s:%d%s", options.host, serving.server_port, _ITEMS)
        serving.serve_forever()


if __name__ == "__main__":
    main()
