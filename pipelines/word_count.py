"""Counts how often each word occurs in files or in a queue: MapReduce, a sum of sums.

```
the cat sat ----+
the dog saw ----+--> words of each line --> Sum by word --> {"word": "the", "count": 3}
the cat --------+
```

    python pipelines/word_count.py --text '/books/*.txt' --counts counts.csv --dead_letters dead.jsonl
    python pipelines/word_count.py --text 'kafka://localhost:9092/posts?group=words' --field body \\
        --counts 'kafka://localhost:9092/counts' --dead_letters 'kafka://localhost:9092/dead'

Every line of a file, and every message of a queue, is a text; with --field it is a JSON object with the text in that
field. A word is letters of any script, with apostrophes inside; upper and lower case are the same word. Words are
counted per line, then per worker, so that only partial counts are shuffled. A queue with a group is read from where the
last run stopped; files are read from the beginning in every run. Counts are appended to --counts, so use another file
for a run that starts again.

Source: Burns, Designing Distributed Systems, chapter 10 (MapReduce) and chapter 12 (sum); Dean and Ghemawat (2004).
"""

if __name__ == "__main__":  # Before any import, so that no function of this file is pickled from __main__.
    from beam_patterns.pipelines import run_as_module

    run_as_module(__file__)

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines import Ended, Options, Places, check_queues, is_idle, launch, option, queue, source
from beam_patterns.transforms import DeadLetters, Map, Sum
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue

_WORD = re.compile(r"[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")


class WordCountOptions(Options):
    """Counts how often each word occurs in files or in a queue."""

    text: str = option("The texts: lines of files, or messages of a queue.", example="'/books/*.txt'", type=source)
    counts: str = option(
        "The queue for the counts, one message per word; in a .csv file one row per word.",
        example="counts.csv",
        type=queue,
    )
    dead_letters: str = option("The queue for invalid texts, with the reason.", example="dead.jsonl", type=queue)
    field: str = option("The field with the text, if messages are JSON objects.", example="body", default="")

    streams: ClassVar[bool] = False
    totals: ClassVar[bool] = True

    def check(self) -> None:
        if self.streaming:
            raise ValueError(
                "--streaming: counts are complete only when everything is read; use telemetry_rollup, or leave it out"
            )
        writes = [("--counts", self.counts), ("--dead_letters", self.dead_letters)]
        check_queues([("--text", self.text)], writes, self.streaming)


class TextOf:
    """The text in a message. Raises ValueError for a message without one.

    >>> TextOf("")(Message(b"the cat")), TextOf("body")(Message(b'{"body": "the dog"}'))
    ('the cat', 'the dog')
    """

    def __init__(self, field: str) -> None:
        self._field = field

    def __call__(self, message: Message) -> str:
        if not self._field:
            return (message.value or b"").decode()
        data = message.json()
        text = data.get(self._field) if isinstance(data, dict) else None
        if not isinstance(text, str):
            raise ValueError(f"the field {self._field!r} has no text")
        return text


def words(text: str) -> Iterable[tuple[str, int]]:
    """Each word of a text once, with its number of occurrences.

    >>> sorted(words("Don't! The cat, the DOG & the cat's 2 tails"))
    [('cat', 1), ("cat's", 1), ('dog', 1), ("don't", 1), ('tails', 1), ('the', 3)]
    """
    return Counter(_WORD.findall(text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))).items()


def word_count(messages: PCollection[Message], *, field: str, dead: ErrorHandler) -> PCollection[tuple[str, int]]:
    """The graph without I/O: messages to pairs of word and count."""
    return (
        messages
        | "Text" >> Map(TextOf(field)).with_error_handler(dead)
        | "Words" >> beam.FlatMap(words).with_output_types(tuple[str, int])
        | "Count" >> Sum()
    )


def as_message(word: str, count: int) -> Message:
    """The message about a word."""
    return Message.of({"word": word, "count": count}, key=word.encode())


def build(p: beam.Pipeline, o: WordCountOptions) -> Places | None:
    """The graph between the queues of the options; returns where the results are, or None if nothing is new."""
    if is_idle(o.text):
        return None
    with ErrorHandler("DeadLetters" >> (DeadLetters() | "Park" >> WriteToQueue(o.dead_letters))) as dead:
        messages = p | "Read" >> ReadFromQueue(o.text).with_error_handler(dead)
        counts = word_count(messages, field=o.field, dead=dead)
        rows = counts | "Tell" >> beam.MapTuple(as_message).with_output_types(Message)
        written = rows | "Write" >> WriteToQueue(o.counts).with_error_handler(dead)
    (written, dead.output()) | "Commit" >> CommitOffsets(messages)
    return {"counts": o.counts, "dead letters": o.dead_letters}


def run(argv: Sequence[str] | None = None) -> Ended:
    """Runs the pipeline with the options of a command line; returns the exit code, with the balance."""
    return launch(WordCountOptions, build, argv)
