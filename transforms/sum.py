"""The sum pattern."""

from typing import Any

from .base.columns import Selection
from .base.pattern import Stream
from .combine.aggregation import Aggregation
from .combine.sums import Add


class Sum(Aggregation):
    """Adds up a value, or several values at once, per key.

    ```
    north 10.10   south 5.00 --+
                               +--> Sum(value="amount", key="region") --> ("north", 30.30) ("south", 5.00)
    north 20.20 ---------------+
    ```

    >>> import apache_beam as beam
    >>> from decimal import Decimal
    >>> from beam_patterns.transforms import Sum
    >>> sales = [{"region": "north", "amount": Decimal("10.10")}, {"region": "north", "amount": Decimal("20.20")}]
    >>> with beam.Pipeline("FnApiRunner") as p:
    ...     _ = p | beam.Create(sales) | Sum(value=("amount", 1), key="region") | beam.Map(print)
    ('north', (Decimal('30.30'), 2))

    Args:
        value: the number to add: a column's name, a pyarrow expression, a function of one element, a number (1 counts),
            or a tuple of these, whose sums are a tuple.
        key: a column's name, a pyarrow expression, a function of one element, or a tuple of these; there is a sum per
            key. Without value and key, the elements are pairs (key, number or tuple of numbers), like a Sum's output.

    In: PCollection[T], or a tuple, list, dict or NamedTuple of them, partial sums included.
    Out: PCollection[Tuple[K, N]], one pair per key and window.
    Exactness: integers and decimals are added exactly, whatever their size and order. Floats are added as floats, so
    the last digits depend on the order: use another type for money.
    Streaming: per window, when it ends or its trigger fires; an unbounded input in the global window raises ValueError.
    Failure: an element on which `value` or `key` raises, or whose value is not a number, goes to the error handler as a
    DeadLetter, or fails the run. None adds nothing and is counted as dropped, as SUM does with NULL.
    Over beam.CombinePerKey(sum): Arrow tables are summed by columns before the shuffle, exact decimals, several values,
    its output can be its input, an error handler, counters (`in`, `out`: added; `dropped`: None), hot keys.
    Source: Burns, Designing Distributed Systems, chapter 12, "Sum".
    """

    def __init__(self, value: Selection | None = None, key: Selection | None = None) -> None:
        super().__init__()
        self._select(value, key, "value=1 counts, key=lambda _: 'all' adds up everything")

    def expand(self, inputs: Any) -> Stream:
        return self._aggregate(inputs, Add())
