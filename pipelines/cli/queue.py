"""beam-patterns queue: creates, writes, shows and copies queues of any kind."""

import argparse
import itertools
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from beam_patterns.pipelines.runtime.failures import sentence
from beam_patterns.pipelines.runtime.queues import messages_of, same_queue
from beam_patterns.transforms.queues import Message, QueueError, as_message, message_to_json, open_queue

__all__ = ["main"]

_FAILED, _WRONG_USE = 1, 2
_GATHERED = 10_000
_CREATES = (
    "creates a topic, in Kafka with ?partitions=6&replication=3&retention.ms=86400000 for instance; "
    "pubsub://project/name?topic=TOPIC creates a subscription of a topic"
)


def main(argv: Sequence[str]) -> int:
    """Runs a command; returns the exit code: 1 if a queue failed, 2 for wrong use."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return int(error.code or 0)
    try:
        arguments.command(arguments)
    except BrokenPipeError:
        raise
    except (QueueError, ValueError, OSError) as error:
        print(sentence(error), file=sys.stderr)
        return _WRONG_USE if isinstance(error, ValueError) else _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beam-patterns queue", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Any], None], explanation: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=explanation, description=explanation)
        added.set_defaults(command=command)
        added.add_argument("uri", metavar="URI", help="the queue, such as kafka://localhost:9092/orders?group=me")
        return added

    add("create", _create, _CREATES)
    publish = add("publish", _publish, "writes the lines of standard input, or the messages of files")
    publish.add_argument("files", metavar="FILE", nargs="*", help="files of messages: .jsonl, .csv, .parquet")
    add("listen", _listen, "prints messages as they come and commits them for the URI's group, until it is interrupted")
    peek = add("peek", _peek, "prints the next messages; commits nothing")
    peek.add_argument("-n", type=_number, default=10, help="the number of messages at most (10)")
    add("count", _count, "counts the unread messages by reading them; commits nothing")
    add("lag", _lag, "shows how far the URI's group is from the end of each partition")
    copy = add("copy", _copy, "copies the unread messages into another queue; commits nothing")
    copy.add_argument("target", metavar="TARGET", help="the queue to write")
    return parser


def _number(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of messages, such as 10")
    return int(text)


def _create(arguments: Any) -> None:
    open_queue(arguments.uri).create()
    print(f"{arguments.uri} exists")


def _publish(arguments: Any) -> None:
    typed = uuid.uuid4().hex  # A line that is typed twice has two ids.
    lines = (Message(line.rstrip(b"\r\n"), source=(typed, 0, n)) for n, line in enumerate(sys.stdin.buffer))
    read = itertools.chain.from_iterable(map(messages_of, arguments.files))
    _write(read if arguments.files else lines, arguments.uri)


def _listen(arguments: Any) -> None:
    for batch in open_queue(arguments.uri).listen():
        for message in batch:
            print(message_to_json(message).decode())
        sys.stdout.flush()


def _peek(arguments: Any) -> None:
    for message in itertools.islice(messages_of(arguments.uri), arguments.n):
        print(message_to_json(message).decode())


def _count(arguments: Any) -> None:
    print(sum(1 for _ in messages_of(arguments.uri)))


def _lag(arguments: Any) -> None:
    splits = open_queue(arguments.uri).lag()
    for split in splits:
        print(f"{split.partition}\t{split.start}\t{split.stop}\t{split.stop - split.start}")
    print(f"lag\t{sum(split.stop - split.start for split in splits)}")


def _copy(arguments: Any) -> None:
    if same_queue(arguments.uri, arguments.target):
        raise ValueError(f"{arguments.target} is the queue that is read; copy into another queue")
    _write(messages_of(arguments.uri), arguments.target)


def _write(messages: Iterable[Message], uri: str) -> None:
    written, writer = 0, open_queue(uri).writer()
    try:
        remaining = iter(messages)
        while gathered := [as_message(message) for message in itertools.islice(remaining, _GATHERED)]:
            writer.write(gathered)
            rejected = writer.flush()
            written += len(gathered) - len(rejected)
            for _, error in rejected:
                raise QueueError(f"{len(rejected)} of {len(gathered)} messages can't be written: {error}")
    except QueueError as error:
        error.args = (f"{error}; at least {written} messages were written to {uri}",)
        raise
    finally:
        writer.close()
    print(f"{written} messages written to {uri}")
