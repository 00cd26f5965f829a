"""Patterns that merge the rows of a key, for YAML pipelines."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.typehints import Any as AnyType

from beam_patterns import transforms
from beam_patterns.pipelines.cel.item import item_of, item_value
from beam_patterns.pipelines.cel.values import CelMerge, CelValue

from .config import ErrorHandling, cel_values, list_of, mapping_of
from .rows import fields_of, row_of, row_type
from .transform import Errors, RowTransform

__all__ = ["Histogram", "Reduce", "Sum"]


class _PerKey(RowTransform):
    """One row per key: the fields of the key, then those of the result.

    Args:
        key: as YAML gives it.
        result: types of the result's fields by name, or values that have such a type; None: that of the rows' field.
        values: turns a pattern's result into the values of these fields.
        error_handling: as YAML gives it.
    """

    def __init__(self, key: Any, result: Mapping[str, Any], values: Callable[[Any], Any], error_handling: Any) -> None:
        super().__init__(error_handling=error_handling)
        where = type(self).__name__
        self._keys, self._result, self._values = cel_values(key, f"{where}: key"), result, values
        for name in result:
            if name in self._keys:
                raise ValueError(f"{where}: the key already has a field {name!r}; use another name")

    @property
    def _key(self) -> tuple[CelValue, ...]:
        return tuple(self._keys.values())

    def _apply(self, rows: PCollection, errors: Errors) -> PCollection:
        fields = fields_of(rows)
        types = {name: _type(name, kind, fields) for name, kind in {**self._keys, **self._result}.items()}
        pairs = super()._apply(rows, errors)
        return pairs | "To rows" >> beam.Map(_row, tuple(types), self._values).with_output_types(row_type(types))


class Sum(_PerKey):
    """Adds up values per key. The output has rows with the fields of key and value.

    Args:
        key: what to add by: CEL texts by the name of the field they become, `{region: item.region}`.
        value: what to add: the same, `{cents: item.cents, orders: 1}`; 1 counts.
        error_handling: `{output: errors}`: the output for items that lack a key or a number.
    """

    def __init__(self, key: Mapping[str, str], value: Mapping[str, str], error_handling: ErrorHandling = None) -> None:
        values = cel_values(value, "Sum: value")
        super().__init__(key, values, tuple, error_handling)
        self._pattern = transforms.Sum(value=tuple(values.values()), key=self._key).with_view(item_of)


class Reduce(_PerKey):
    """Merges all items of a key into one. The output has rows with the fields of key and merge.

    Args:
        key: what items are merged by: CEL texts by the name of the field they become, `{user: item.user}`.
        merge: how a field of two items, a and b, becomes one: `{last: "a.last > b.last ? a.last : b.last"}`. It has to
            be associative and commutative, because items are merged in any order.
        error_handling: `{output: errors}`: the output for items that lack a key or a field.
    """

    def __init__(self, key: Mapping[str, str], merge: Mapping[str, str], error_handling: ErrorHandling = None) -> None:
        merges = {name: CelMerge(text) for name, text in mapping_of(merge, "Reduce: merge", "n: a.n + b.n").items()}
        names = tuple(merges)
        super().__init__(key, dict.fromkeys(names), partial(_values, names), error_handling)
        self._pattern = transforms.Reduce(partial(_merged, merges), self._key).with_view(partial(_item_with, names))


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
        error_handling: ErrorHandling = None,
    ) -> None:
        if (bins is None) == (quantiles is None):
            raise ValueError("Histogram needs either bins, such as [0, 10, 100], or quantiles, such as {median: 0.5}")
        if quantiles is None:
            how: dict[str, Any] = {"bins": tuple(list_of(bins, "Histogram: bins", "0, 10, 100"))}
            super().__init__(key, {"total": int, "counts": Sequence[int]}, _counts, error_handling)
        else:
            how = {"relative_error": float(relative_error)}
            shares = mapping_of(quantiles, "Histogram: quantiles", "median: 0.5")
            result = {"total": int, **dict.fromkeys(shares, float)}
            super().__init__(key, result, partial(_quantiles, tuple(shares.values())), error_handling)
        self._pattern = transforms.Histogram(CelValue(value), self._key, **how).with_view(item_of)


def _type(name: str, kind: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(kind, CelValue):
        return kind.type_in(fields)
    return fields.get(name, AnyType) if kind is None else kind


def _row(pair: Any, names: tuple[str, ...], values: Callable[[Any], Any]) -> beam.Row:
    key, result = pair
    return row_of(names, (*key, *values(result)))


def _counts(bins: Any) -> tuple[Any, ...]:
    return bins.total, list(bins.counts)


def _quantiles(shares: tuple[float, ...], quantiles: Any) -> tuple[Any, ...]:
    return quantiles.total, *(quantiles.at(share) for share in shares)


def _values(names: tuple[str, ...], item: Any) -> tuple[Any, ...]:
    return tuple([item[name] for name in names])


def _item_with(names: tuple[str, ...], row: Any) -> Any:
    """The view of an item that has these fields. Raises ValueError for others."""
    item = item_value(row)
    for name in names:
        if not isinstance(item, dict) or name not in item:
            raise ValueError(f"the item has no field {name!r}")
    return item


def _merged(merges: Mapping[str, CelMerge], a: Any, b: Any) -> Any:
    return {name: merge(a, b) for name, merge in merges.items()}
