"""Reading rows."""

from collections.abc import Iterator, Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin, TaggedOutput

from .base.errors import QueueError, UnreadableError
from .base.guard import Guard, GuardedStep, apply_guarded, dead_outputs
from .base.message import Message
from .base.pattern import GuardedPattern, Stream, T
from .tables.row_files import Raw, open_part, parts
from .tables.row_shape import Shape


class ReadRows(GuardedPattern[PBegin, Stream[T]]):
    """Reads Parquet and CSV files as rows, in Arrow tables.

    ```
    /data/orders-*.parquet --> ReadRows --> Order(region="north", amount=1099), ...
                                  |
                                  +--> dead letters: invalid rows
    ```

    >>> import tempfile
    >>> from pathlib import Path
    >>> from typing import NamedTuple
    >>> import apache_beam as beam
    >>> import pyarrow as pa
    >>> from beam_patterns.transforms import ReadRows, Sum
    >>> class Order(NamedTuple):
    ...     region: str
    ...     amount: int  # in cents
    >>> file = Path(tempfile.mkdtemp(), "orders.csv")
    >>> _ = file.write_text("id,region,amount\\n1,north,10.99\\n2,south,5.00\\n3,north,0.01\\n")
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     orders = p | ReadRows(str(file), Order, types={"amount": pa.decimal128(18, 2)})
    ...     _ = orders | Sum(value="amount", key="region") | beam.Map(print)
    ('north', 1100)
    ('south', 500)

    Args:
        files: a path or pattern, local or in a store that Beam's FileSystems support. Names that end in .parquet are
            Parquet files, all others are CSV files with a header, compressed if the name ends in .gz.
        row: a NamedTuple class whose fields are the columns to read, int, float, str, bool, bytes or Optional of these;
            other columns are not decoded.
        types: the type in the file of an int field that Beam's rows don't support: pa.decimal128(18, 2) is read as
            cents, pa.timestamp("us", "UTC") as microseconds since the epoch, pa.date32() as days.

    In: the pipeline.
    Out: PCollection of row, bounded, in tables of about a hundred thousand rows; the row groups of a Parquet file are
    read by different workers, so memory does not depend on a file's size.
    Streaming: files are read once.
    Failure: a row with a value that its field can't hold (a word for a number, an empty cell or null in a field that is
    not Optional, a third decimal place) goes to the error handler as a DeadLetter, in CSV or JSON form; so does a
    file that is not in its format. Without a handler, these fail the run. A missing file or column always fails it.
    Over beam's ReadFromParquetBatched and ReadFromCsv: an element type, so that patterns know the columns; exact
    amounts and times; invalid rows do not end the run; counters (`out`, `dead`).
    Source: the Parquet format; RFC 4180 (CSV).
    """

    def __init__(self, files: str, row: type[T], types: Mapping[str, pa.DataType] | None = None) -> None:
        super().__init__()
        if not isinstance(files, str) or not files:
            raise TypeError(f"ReadRows(files, row) needs a path or pattern first, not {files!r}")
        self._files, self._shape = files, Shape(row, types or {})

    def expand(self, begin: Any) -> Stream:
        files, names = self._files, self._shape.names
        plan = beam.FlatMap(lambda _: parts(files, names)).with_output_types(Any)
        planned = begin | "Start" >> beam.Impulse() | "Plan" >> plan | "Spread" >> beam.Reshuffle()
        remedy = "Add .with_error_handler(...) to send such rows to a dead-letter queue."
        guard = Guard(self, Message, counters=("out", "dead"), remedy=remedy, raises=UnreadableError)
        fetch = _Fetch(guard, self._shape)
        return apply_guarded(self, planned, fetch, {"rows": self._shape.row}, verb="Fetch", label="Rows")[0]


class _Fetch(GuardedStep):
    def __init__(self, guard: Guard, shape: Shape) -> None:
        super().__init__(guard)
        self._shape, self._output_type, self._output_batches = shape, shape.row, pa.Table

    @beam.DoFn.yields_batches
    def process(self, part: Any) -> Iterator[Any]:
        path = getattr(part, "path", "")
        try:
            if isinstance(part, UnreadableError):
                raise part
            for raw in open_part(part, self._shape.names):
                yield from self._rows(path, raw)
        except UnreadableError as error:
            yield from self._invalid(Message(error.payload, source=(path, 0, 0)), error)

    def _rows(self, path: str, raw: Raw) -> Iterator[Any]:
        for number, line, complaint in raw.broken:
            yield from self._invalid(Message(line, source=(path, 0, number)), ValueError(complaint))
        try:
            self._shape.converted(raw.table.schema.empty_table())
        except (pa.ArrowException, ValueError) as error:  # No value fits, whatever it is.
            raise QueueError(f"the file {path} can't be read as {self._shape.row.__name__}: {error}") from error
        for found in self._shape.converted_or_invalid(raw.table):
            if isinstance(found, pa.Table):
                self._guard.measure(found.num_rows, found.num_rows, 0)
                yield found
            else:
                index, reason = found
                yield from self._invalid(Message(raw.row(index), source=(path, 0, raw.number(index))), reason)

    def _invalid(self, row: Message, error: Exception) -> Iterator[TaggedOutput]:
        place = "/".join(map(str, row.source or ()))
        letter = self._guard.letter(row, error, complaint=f"row {place} is invalid: {error}")
        self._guard.measure(1, 0, 1)
        yield from dead_outputs([letter])
