"""Results of Histogram: counts in bins, and a sketch of quantiles. Both merge with others of their kind."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from ..base.coders import RecordCoder


@RecordCoder.register
class Bins(NamedTuple):
    """Counts of values between edges: at or above an edge and below the next.

    >>> Bins.of([1, 2, 2, 9], edges=(0, 2, 4))
    Bins(edges=(0, 2, 4), counts=(0, 1, 2, 1))
    """

    edges: tuple[Any, ...]
    """Ascending."""
    counts: tuple[Any, ...]
    """One more than edges: below the first, between each two, at or above the last. Whole numbers if values were
    counted, fractions if a relative histogram was weighted."""

    @staticmethod
    def of(values: Sequence[Any], edges: Sequence[Any]) -> "Bins":
        """The histogram of some values."""
        counts = [0] * (len(edges) + 1)
        for value in values:
            counts[bisect_right(edges, value)] += 1
        return Bins(tuple(edges), tuple(counts))

    @staticmethod
    def of_shares(shares: Sequence[Any], *, weight: Any, edges: Sequence[Any]) -> "Bins":
        """A relative histogram with a weight, so that it merges with others.

        >>> Bins.of_shares(["0.2", "0.5", "0.3"], weight=50, edges=(0, 1, 2, 3)).counts
        (0, 10, 25, 15, 0)

        Args:
            shares: the share of each bin between two edges; text, Decimal or Fraction for exact results.
            weight: the number of things that the shares describe, such as families.
            edges: of the bins.
        """
        if len(shares) != len(edges) - 1:
            raise ValueError(f"{len(shares)} shares do not fit {len(edges)} edges, which make {len(edges) - 1} bins")
        counts = [Fraction(share) * Fraction(weight) for share in shares]
        return Bins(tuple(edges), (0, *(int(c) if c.denominator == 1 else c for c in counts), 0))

    def merged(self, other: "Bins") -> "Bins":
        """The sum of two histograms."""
        if self.edges != other.edges:
            raise ValueError(f"histograms with different edges do not merge: {self.edges} and {other.edges}")
        return self._replace(counts=tuple([a + b for a, b in zip(self.counts, other.counts, strict=True)]))

    @property
    def total(self) -> Any:
        """Number of values, including those outside of the edges."""
        return sum(self.counts)

    def shares(self) -> tuple[Fraction, ...]:
        """The counts as shares of the total, exactly."""
        return tuple([Fraction(count) / Fraction(self.total) for count in self.counts])


@RecordCoder.register
class Quantiles(NamedTuple):
    """A KLL sketch: quantiles of any number of values in a few kilobytes.

    >>> median = Quantiles.of(range(1001), relative_error=0.01).at(0.5)
    >>> 490 <= median <= 510
    True
    """

    sketch: bytes
    """In the format of Apache DataSketches, which is the same in all languages."""

    @staticmethod
    def of(values: Sequence[Any], relative_error: float) -> "Quantiles":
        """The sketch of some values."""
        sketch = new_sketch(relative_error)
        for value in values:
            sketch.update(float(value))
        return Quantiles(sketch.serialize())

    def at(self, share: float) -> float:
        """The value below which this share of all values is: at(0.5) is the median."""
        return self.opened().get_quantile(share)

    def rank(self, value: float) -> float:
        """The share of all values that are at or below a value."""
        return self.opened().get_rank(value, True)

    @property
    def total(self) -> int:
        """Number of values."""
        return self.opened().n

    @property
    def relative_error(self) -> float:
        """Error of a rank, as a share of all values, in 99 of 100 sketches."""
        return self.opened().normalized_rank_error(False)

    def opened(self) -> Any:
        """The sketch as an object of the datasketches library."""
        import datasketches

        return datasketches.kll_doubles_sketch.deserialize(self.sketch)


def new_sketch(relative_error: float) -> Any:
    """An empty KLL sketch of the smallest size that stays within an error."""
    import datasketches

    kll = datasketches.kll_doubles_sketch
    sizes = range(8, 65_536)
    return kll(
        sizes[bisect_left(sizes[:-1], True, key=lambda k: kll.get_normalized_rank_error(k, False) <= relative_error)]
    )
