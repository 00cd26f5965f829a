"""The work_queue pipeline on Flink: four slots against one, with work that waits 50 ms.

    python -m bench.flink_scale [--items 1200]

Each item is posted to a service that answers after 50 ms. First a cluster of one TaskManager with one slot, then one
of two TaskManagers with two slots each, where --workers gives a TaskManager a worker for each of its slots. The
throughput is counted from the first answer to the last, so it leaves out the start of the job, which takes seconds.
The claim: four slots do at least 3.5 times as much as one.
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory

from beam_patterns.pipelines import work_queue
from beam_patterns.transforms.queues import Message, open_queue
from tests.servers import flink

WAIT = 0.05


class Service(ThreadingHTTPServer):
    """Answers after a while, and records when."""

    daemon_threads, request_queue_size = True, 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answered: list[float] = []

    @property
    def throughput(self) -> float:
        """Answers per second."""
        return (len(self.answered) - 1) / (max(self.answered) - min(self.answered))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(WAIT)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.answered.append(time.monotonic())

    def log_message(self, *unused: object) -> None:
        return


@contextmanager
def serving() -> Iterator[Service]:
    """A running service."""
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


def throughput(items: int, task_managers: int, slots: int) -> float:
    """Items per second on a cluster of this size."""
    with TemporaryDirectory() as folder, serving() as service, flink.running(task_managers, slots) as cluster:
        topic = f"sqlite://{folder}/queues.db?topic="
        writer = open_queue(f"{topic}items").writer()
        writer.write([Message.of({"n": n}) for n in range(items)])
        writer.flush()
        queues = [f"--input={topic}items&group=g", f"--output={topic}results", f"--dead_letters={topic}dead"]
        work = [f"--url=http://127.0.0.1:{service.server_port}/", f"--workers={slots}", "--quiet"]
        spread = [*cluster.flags, f"--parallelism={task_managers * slots}"]
        assert work_queue.run([*queues, *work, *spread]) == 0
        assert len(service.answered) == items
        return service.throughput


def main(arguments: list[str]) -> None:
    """Prints both throughputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1200)
    items = parser.parse_args(arguments).items
    one = throughput(items, task_managers=1, slots=1)
    print(f"1 slot   {one:6.1f} items/s  {one * WAIT:.2f} of the ideal", flush=True)
    four = throughput(items, task_managers=2, slots=2)
    print(f"4 slots  {four:6.1f} items/s  {four * WAIT / 4:.2f} of the ideal  {four / one:.2f} times 1 slot")


if __name__ == "__main__":
    main(sys.argv[1:])
