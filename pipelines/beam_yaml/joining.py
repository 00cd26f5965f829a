"""Patterns that wait for rows or remember them, for YAML pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional

from beam_patterns import transforms

from .cel import Ask, seconds
from .errors import Errors, error_output
from .items import fields_of, row_of, row_type, whole

__all__ = ["Barrier", "Dedupe", "JoinParts"]


class Barrier(beam.PTransform):
    """Holds all inputs back until every one of them has finished its window.

    Its inputs have names, `input: {blurred: Blur, tagged: Tag}`, and so have the outputs: `Barrier.blurred`.
    """

    def __init__(self) -> None:
        super().__init__()

    def expand(self, inputs: Any) -> Any:
        """The inputs, each as it came."""
        streams = {"input": inputs} if isinstance(inputs, PCollection) else inputs
        return dict(streams) | self.label >> transforms.Join()


class JoinParts(beam.PTransform):
    """Gathers the parts of an item; it passes as soon as all are there.

    Its inputs have the parts' names, `input: {plate: Plates, color: Colors}`. The output has rows of the key, each part
    as a row in a field of its name, and `missing`, the names of parts that are not there.

    Args:
        key: what item a row is a part of, `item.car`.
        deadline: how long an item waits for its parts in event time, 90s or 15m; else until its window ends.
        partial: an item that lacks parts then passes as it is.
        error_handling: `{output: errors}`: the output for the parts of items that lack others, and rows without a key.
    """

    def __init__(
        self,
        key: str,
        deadline: str = "",
        partial: bool = False,
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._key, self._errors = Ask(key), error_output(error_handling)
        self._partial, self._deadline = partial, seconds(deadline, "JoinParts: deadline") if deadline else None

    def expand(self, inputs: Any) -> Any:
        """The joined items."""
        if isinstance(inputs, PCollection):
            raise ValueError("JoinParts takes inputs by name, such as {plate: Plates, color: Colors}, not one")
        errors = Errors(self._errors)
        streams = {name: whole(rows, name) for name, rows in inputs.items()}
        parts = {name: Optional[rows.element_type] if fields_of(rows) else AnyType for name, rows in streams.items()}
        keys = {self._key.type_in(fields_of(rows)) for rows in streams.values()}
        key_type = keys.pop() if len(keys) == 1 else AnyType
        kind = row_type({"key": key_type, **parts, "missing": Sequence[str]})
        joined = streams | self.label >> errors.guard(self._join(key_type))
        return errors.beside(
            joined | "To rows" >> beam.Map(_joined_row, tuple(streams)).with_output_types(kind), streams.values()
        )

    def _join(self, key_type: Any) -> transforms.Join:
        join = transforms.Join(key=self._key.of_rows(key_type))
        join = join if self._deadline is None else join.with_deadline(self._deadline)
        return join.with_partial_groups() if self._partial else join


class Dedupe(beam.PTransform):
    """Lets the first item of each key pass and drops the others, whatever windows they are in.

    Args:
        key: what makes an item the same as another, `item.id`; for messages, left out, the id that each one carries.
        within: how long an item is remembered in event time, 90s or 12h; needed where the input never ends.
        error_handling: `{output: errors}`: the output for items that have no key.
    """

    def __init__(self, key: str = "", within: str = "", error_handling: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._key, self._errors = Ask(key) if key else None, error_output(error_handling)
        self._within = seconds(within, "Dedupe: within") if within else None

    def expand(self, rows: PCollection) -> Any:
        """The items that came first."""
        errors, rows = Errors(self._errors), whole(rows)
        key = self._key and self._key.of_rows(self._key.type_in(fields_of(rows)))
        return errors.beside(rows | self.label >> errors.guard(transforms.Dedupe(key, self._within)), rows)


def _joined_row(joined: Any, names: tuple[str, ...]) -> beam.Row:
    parts = [joined.parts.get(name) for name in names]
    return row_of(("key", *names, "missing"), (joined.key, *parts, list(joined.missing)))
