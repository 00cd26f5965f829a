"""Patterns that wait for rows or remember them, for YAML pipelines."""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional

from beam_patterns import transforms
from beam_patterns.pipelines.cel.values import CelValue, OnRows

from .config import ErrorHandling, seconds
from .rows import fields_of, restored, row_of, row_type
from .transform import Errors, RowTransform, Unconfigured, streams_of

__all__ = ["Barrier", "Dedupe", "JoinParts"]


class Barrier(Unconfigured):
    """Holds all inputs back until every one of them has finished its window.

    Its inputs have names, `input: {blurred: Blur, tagged: Tag}`, and the outputs have the same: `Barrier.blurred`.
    """

    def expand(self, inputs: Any) -> Any:
        """The inputs, unchanged."""
        return streams_of(inputs) | self.label >> transforms.Join()


class JoinParts(RowTransform):
    """Joins the parts of an item, which passes as soon as all of them are there.

    Its inputs have the parts' names, `input: {plate: Plates, color: Colors}`. The output has rows of the key, each part
    as a row in a field of its name, and `missing`, the names of the missing parts.

    Args:
        key: which item a row is a part of, `item.car`.
        deadline: how long an item waits for its parts in event time, 90s or 15m; by default until its window ends.
        partial: an item that lacks parts at its deadline passes without them.
        error_handling: `{output: errors}`: the output for the parts of incomplete items, and for rows without a key.
    """

    def __init__(
        self, key: str, deadline: str = "", partial: bool = False, error_handling: ErrorHandling = None
    ) -> None:
        super().__init__(error_handling=error_handling)
        self._key, self._partial = CelValue(key), partial
        self._deadline = seconds(deadline, "JoinParts: deadline") if deadline else None

    def expand(self, inputs: Any) -> Any:
        """The joined items."""
        if isinstance(inputs, PCollection):
            raise ValueError("JoinParts needs inputs by name, such as {plate: Plates, color: Colors}, not one input")
        errors = Errors(self._error_output)
        streams = {name: restored(rows, name) for name, rows in inputs.items()}
        parts = {name: Optional[rows.element_type] if fields_of(rows) else AnyType for name, rows in streams.items()}
        keys = {self._key.type_in(fields_of(rows)) for rows in streams.values()}
        key_type = keys.pop() if len(keys) == 1 else AnyType
        kind = row_type({"key": key_type, **parts, "missing": Sequence[str]})
        joined = streams | self.label >> errors.guard(self._join(key_type))
        rows = joined | "To rows" >> beam.Map(_joined_row, tuple(streams)).with_output_types(kind)
        return errors.beside(rows, *streams.values())

    def _join(self, key_type: Any) -> transforms.Join:
        join = transforms.Join(key=OnRows(self._key, key_type))
        join = join if self._deadline is None else join.with_deadline(self._deadline)
        return join.with_partial_groups() if self._partial else join


class Dedupe(RowTransform):
    """Lets the first item of each key pass and drops its duplicates, whatever windows they are in.

    Args:
        key: what identifies an item, `item.id`; for messages it may be left out, then their message_id is used.
        within: how long an item is remembered in event time, 90s or 12h; required if the input never ends.
        error_handling: `{output: errors}`: the output for items that have no key.
    """

    def __init__(self, key: str = "", within: str = "", error_handling: ErrorHandling = None) -> None:
        super().__init__(error_handling=error_handling)
        self._key = CelValue(key) if key else None
        self._within = seconds(within, "Dedupe: within") if within else None

    def _apply(self, rows: PCollection, errors: Errors) -> PCollection:
        key = self._key and self._key.on_rows(fields_of(rows))
        return rows | self.label >> errors.guard(transforms.Dedupe(key, self._within))


def _joined_row(joined: Any, names: tuple[str, ...]) -> beam.Row:
    parts = [joined.parts.get(name) for name in names]
    return row_of(("key", *names, "missing"), (joined.key, *parts, list(joined.missing)))
