"""Patterns that merge the rows of a key, for YAML pipelines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType

from beam_patterns import transforms

from .cel import Ask, Merging, asks, listed, mapped
from .errors import Errors, error_output
from .items import fields_of, item_of, row_of, row_type, whole

__all__ = ["Histogram", "Reduce", "Sum"]


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
        if quantiles is None:
            how: dict[str, Any] = {"bins": tuple(listed(bins, "Histogram: bins", "0, 10, 100"))}
            found, self._read = {"counts": Sequence[int]}, _counted
        else:
            how = {"relative_error": float(relative_error)}
            shares = mapped(quantiles, "Histogram: quantiles", "median: 0.5")
            found, self._read = dict.fromkeys(shares, float), _At(tuple(shares.values()))
        self._types = {"total": int, **found}
        super().__init__(key, self._types, error_handling)
        histogram = transforms.Histogram(Ask(value), tuple(self._keys.values()), **how)
        self._histogram = histogram.with_view(item_of)

    def expand(self, rows: PCollection) -> Any:
        """One row per key."""
        return self._rows(whole(rows), self._histogram, self._types, self._read)


def _row(pair: Any, names: tuple[str, ...], read: Callable[[Any], Any]) -> beam.Row:
    key, value = pair
    return row_of(names, (*key, *read(value)))


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
