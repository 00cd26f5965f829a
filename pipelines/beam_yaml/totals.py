"""Patterns that merge the rows of a key, for YAML pipelines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType

from beam_patterns import transforms
from beam_patterns.pipelines.cel.item import item_of, item_value
from beam_patterns.pipelines.cel.values import CelMerge, CelValue

from .config import cel_values, list_of, mapping_of
from .rows import fields_of, row_of, row_type
from .transform import Errors, RowTransform

__all__ = ["Histogram", "Reduce", "Sum"]


class _PerKey(RowTransform):
    """One row per key: the fields of the key, then those of the result."""

    #: Turns a pattern's result into the values of the result's fields.
    _values: Callable[[Any], Iterable[Any]] = tuple

    def __init__(self, key: Mapping[str, str], result: Iterable[str], error_handling: Any) -> None:
        super().__init__(error_handling=error_handling)
        self._keys = cel_values(key, f"{type(self).__name__}: key")
        for name in result:
            if name in self._keys:
                raise ValueError(f"{type(self).__name__}: the key already has a field {name!r}; use another name")

    @property
    def _key(self) -> tuple[CelValue, ...]:
        return tuple(self._keys.values())

    def _result_types(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Types of the result's fields, for rows of these fields."""
        raise NotImplementedError

    def _apply(self, rows: PCollection, errors: Errors) -> PCollection:
        fields = fields_of(rows)
        types = {name: value.type_in(fields) for name, value in self._keys.items()} | dict(self._result_types(fields))
        pairs = rows | self.label >> errors.guard(self._pattern)
        return pairs | "To rows" >> beam.Map(_row, tuple(types), self._values).with_output_types(row_type(types))


class Sum(_PerKey):
    """Adds up values per key. The output has rows with the fields of key and value.

    Args:
        key: what to add by: CEL texts by the name of the field they become, `{region: item.region}`.
        value: what to add: the same, `{cents: item.cents, orders: 1}`; 1 counts.
        error_handling: `{output: errors}`: the output for items that lack a key or a number.
    """

    def __init__(
        self, key: Mapping[str, str], value: Mapping[str, str], error_handling: Mapping[str, str] | None = None
    ) -> None:
        self._sums = cel_values(value, "Sum: value")
        super().__init__(key, self._sums, error_handling)
        self._pattern = transforms.Sum(value=tuple(self._sums.values()), key=self._key).with_view(item_of)

    def _result_types(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value.type_in(fields) for name, value in self._sums.items()}


class Reduce(_PerKey):
    """Merges all items of a key into one. The output has rows with the fields of key and merge.

    Args:
        key: what items are merged by: CEL texts by the name of the field they become, `{user: item.user}`.
        merge: how a field of two items, a and b, becomes one: `{last: "a.last > b.last ? a.last : b.last"}`. It has to
            be associative and commutative, because items are merged in any order.
        error_handling: `{output: errors}`: the output for items that lack a key or a field.
    """

    def __init__(
        self, key: Mapping[str, str], merge: Mapping[str, str], error_handling: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(key, mapping_of(merge, "Reduce: merge", "n: a.n + b.n"), error_handling)
        self._merged = tuple(merge)
        self._values = _Fields(self._merged)
        merged = _Merged({name: CelMerge(text) for name, text in merge.items()})
        self._pattern = transforms.Reduce(merged, self._key).with_view(_WithFields(self._merged))

    def _result_types(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: fields.get(name, AnyType) for name in self._merged}


class Histogram(_PerKey):
    """The distribution of values per key: counts in bins, or quantiles.

    The output has rows with the fields of key, `total`, and either `counts`, one more than edges (below the first,
    between each two, at or above the last), or a field for each quantile.

    Args:
        key: whose distribution: CEL texts by the name of the field they become, `{route: item.route}`.
        value: the number to count, `item.ms`.
        bins: ascending edges, `[0, 10, 100]`.
        quantiles: instead of bins, shares by the name of the field they become, `{median: 0.5, p99: 0.99}`.
        relative_error: the largest error of a quantile's rank, as a share of all values.
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
            raise ValueError("Histogram needs either bins, such as [0, 10, 100], or quantiles, such as {median: 0.5}")
        if quantiles is None:
            how: dict[str, Any] = {"bins": tuple(list_of(bins, "Histogram: bins", "0, 10, 100"))}
            found, self._values = {"counts": Sequence[int]}, _counts
        else:
            how = {"relative_error": float(relative_error)}
            shares = mapping_of(quantiles, "Histogram: quantiles", "median: 0.5")
            found, self._values = dict.fromkeys(shares, float), _At(tuple(shares.values()))
        self._types = {"total": int, **found}
        super().__init__(key, self._types, error_handling)
        self._pattern = transforms.Histogram(CelValue(value), self._key, **how).with_view(item_of)

    def _result_types(self, unused_fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._types


def _row(pair: Any, names: tuple[str, ...], values: Callable[[Any], Iterable[Any]]) -> beam.Row:
    key, result = pair
    return row_of(names, (*key, *values(result)))


def _counts(bins: Any) -> tuple[Any, ...]:
    return bins.total, list(bins.counts)


class _At:
    """A histogram's total, and its quantiles at these shares."""

    def __init__(self, shares: tuple[float, ...]) -> None:
        self._shares = shares

    def __call__(self, quantiles: Any) -> tuple[Any, ...]:
        return quantiles.total, *(quantiles.at(share) for share in self._shares)


class _Fields:
    """The values of these fields of an item."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, item: Any) -> tuple[Any, ...]:
        return tuple([item[name] for name in self._names])


class _WithFields(_Fields):
    """The view of an item that has these fields. Raises ValueError for others."""

    def __call__(self, row: Any) -> Any:
        item = item_value(row)
        for name in self._names:
            if not isinstance(item, dict) or name not in item:
                raise ValueError(f"there is no field {name!r}")
        return item


class _Merged:
    """The fields of two items, each merged by its own expression."""

    def __init__(self, fields: Mapping[str, CelMerge]) -> None:
        self._fields = dict(fields)

    def __call__(self, a: Any, b: Any) -> Any:
        return {name: merge(a, b) for name, merge in self._fields.items()}
