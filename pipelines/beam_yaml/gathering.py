"""Patterns that gather rows, for YAML pipelines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType
from apache_beam.typehints import Optional

from beam_patterns import transforms

from .asking import Ask, Merging, asks, listed, mapped, seconds
from .errors import Errors, error_output
from .items import fields_of, item_of, row_of, row_type, whole

__all__ = ["Barrier", "Dedupe", "Histogram", "JoinParts", "Reduce", "Sum"]


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


class _PerKey(beam.PTransform):
    """What Sum, Reduce and Histogram share: keys with names, and results as rows."""

    def __init__(self, key: Mapping[str, str], results: Iterable[str], error_handling: Any) -> None:
        super().__init__()
        self._keys, self._errors = asks(key, f"{type(self).__name__}: key"), error_output(error_handling)
        for name in results:
            if name in self._keys:
                raise ValueError(f"{type(self).__name__}: the field {name!r} is in the key already; name it otherwise")

    def _rows(self, rows: PCollection, pattern: Any, types: Mapping[str, Any], read: Callable[[Any], Any]) -> Any:
        errors, fields = Errors(self._errors), fields_of(rows)
        kind = row_type({name: ask.type_in(fields) for name, ask in self._keys.items()} | dict(types))
        pairs = rows | self.label >> errors.guard(pattern)
        names = tuple(self._keys) + tuple(types)
        return errors.beside(pairs | "To rows" >> beam.Map(_row, names, read).with_output_types(kind), rows)


class Sum(_PerKey):
    """Adds up values per key. The output has rows with the fields of key and value.

    Args:
        key: what to add by: CEL texts by the name of the field they become, `{region: item.region}`.
        value: what to add: the same, `{cents: item.cents, orders: 1}`; 1 counts.
        error_handling: `{output: errors}`: the output for items that lack a key or a number.
    """

    def __init__(
        self,
        key: Mapping[str, str],
        value: Mapping[str, str],
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        self._values = asks(value, "Sum: value")
        super().__init__(key, self._values, error_handling)
        picked = {"value": tuple(self._values.values()), "key": tuple(self._keys.values())}
        self._sum = transforms.Sum(**picked).with_view(item_of)

    def expand(self, rows: PCollection) -> Any:
        """One row per key."""
        rows = whole(rows)
        fields = fields_of(rows)
        return self._rows(rows, self._sum, {name: ask.type_in(fields) for name, ask in self._values.items()}, tuple)


class Reduce(_PerKey):
    """Merges all items of a key into one. The output has rows with the fields of key and merge.

    Args:
        key: what items are merged by: CEL texts by the name of the field they become, `{user: item.user}`.
        merge: what becomes of a field of two items, a and b: `{last: "a.last > b.last ? a.last : b.last"}`. Nobody says
            in which order items meet, so it has to be associative and commutative.
        error_handling: `{output: errors}`: the output for items that lack a key or a field.
    """

    def __init__(
        self,
        key: Mapping[str, str],
        merge: Mapping[str, str],
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(key, mapped(merge, "Reduce: merge", "n: a.n + b.n"), error_handling)
        self._fields = tuple(merge)
        merged = _Merged({name: Merging(text) for name, text in merge.items()})
        self._reduce = transforms.Reduce(merged, tuple(self._keys.values())).with_view(_WithFields(self._fields))

    def expand(self, rows: PCollection) -> Any:
        """One row per key."""
        rows = whole(rows)
        fields = fields_of(rows)
        types = {name: fields.get(name, AnyType) for name in self._fields}
        return self._rows(rows, self._reduce, types, _Picked(self._fields))


class Histogram(_PerKey):
    """How values are distributed, per key: counts in bins, or quantiles.

    The output has rows with the fields of key, `total`, and either `counts`, one more than edges (below the first,
    between each two, at or above the last), or a field for each quantile.

    Args:
        key: whose distribution: CEL texts by the name of the field they become, `{route: item.route}`.
        value: the number to look at, `item.ms`.
        bins: ascending edges, `[0, 10, 100]`.
        quantiles: instead of bins, shares by the name of the field they become, `{median: 0.5, p99: 0.99}`.
        relative_error: how far off a quantile's rank may be, as a share of all values.
        error_handling: `{output: errors}`: the output for items that lack a key or a number.
    """

    def __init__(
        self,
        key: Mapping[str, str],
        value: str,
        bins: Sequence[float] | None = None,
        quantiles: Mapping[str, float] | None = None,
        relative_error: float = 0.01,
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        if (bins is None) == (quantiles is None):
            raise ValueError("Histogram takes either bins, such as [0, 10, 100], or quantiles, such as {median: 0.5}")
        found = (
            {"counts": Sequence[int]}
            if quantiles is None
            else dict.fromkeys(mapped(quantiles, "Histogram: quantiles", "median: 0.5"), float)
        )
        self._types = {"total": int, **found}
        super().__init__(key, self._types, error_handling)
        self._read = _counted if quantiles is None else _At(tuple(quantiles.values()))
        how = (
            {"bins": tuple(listed(bins, "Histogram: bins", "0, 10, 100"))}
            if bins is not None
            else {"relative_error": float(relative_error)}
        )
        histogram = transforms.Histogram(Ask(value), tuple(self._keys.values()), **how)
        self._histogram = histogram.with_view(item_of)

    def expand(self, rows: PCollection) -> Any:
        """One row per key."""
        return self._rows(whole(rows), self._histogram, self._types, self._read)


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


def _row(pair: Any, names: tuple[str, ...], read: Callable[[Any], Any]) -> beam.Row:
    key, value = pair
    return row_of(names, (*key, *read(value)))


def _joined_row(joined: Any, names: tuple[str, ...]) -> beam.Row:
    parts = [joined.parts.get(name) for name in names]
    return row_of(("key", *names, "missing"), (joined.key, *parts, list(joined.missing)))


def _counted(bins: Any) -> tuple[Any, ...]:
    return bins.total, list(bins.counts)


class _At:
    def __init__(self, shares: tuple[float, ...]) -> None:
        self._shares = shares

    def __call__(self, quantiles: Any) -> tuple[Any, ...]:
        return quantiles.total, *(quantiles.at(share) for share in self._shares)


class _WithFields:
    """An item's view, which has to have these fields."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, row: Any) -> Any:
        item = item_of(row)
        for name in self._names:
            if name not in item:
                raise ValueError(f"there is no field {name!r}")
        return item


class _Merged:
    def __init__(self, fields: Mapping[str, Merging]) -> None:
        self._fields = dict(fields)

    def __call__(self, a: Any, b: Any) -> Any:
        return {name: merging(a, b) for name, merging in self._fields.items()}


class _Picked:
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, item: Any) -> tuple[Any, ...]:
        return tuple([item[name] for name in self._names])
