"""Patterns that pass rows on unchanged, for YAML pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any

from apache_beam.pvalue import PCollection

from beam_patterns import transforms
from beam_patterns.pipelines.cel.item import item_of
from beam_patterns.pipelines.cel.values import CelCondition, CelValue

from .config import ErrorHandling, list_of, mapping_of
from .transform import RowTransform, Unconfigured, streams_of

__all__ = ["Copier", "Filter", "Merger", "Sharder", "Splitter"]


class Copier(RowTransform):
    """Copies one stream to several identical ones.

    Args:
        branches: the names of the outputs: `[uhd, mobile]` are `Copier.uhd` and `Copier.mobile`.
    """

    def __init__(self, branches: Sequence[str]) -> None:
        super().__init__(transforms.Copier(*list_of(branches, "Copier: branches", "uhd, mobile")))


class Filter(RowTransform):
    """Keeps the items that meet a condition: Beam's own Filter, with `language: cel`.

    Args:
        keep: the condition, `item.age >= 18`.
        language: always `cel`; any other language is one of Beam's own.
        error_handling: `{output: errors}`: the output for items on which the condition fails.
    """

    def __init__(self, keep: str, language: str, error_handling: ErrorHandling = None) -> None:
        if language != "cel":
            raise ValueError(f"Filter: the language must be cel, not {language!r}")
        super().__init__(transforms.Filter(CelCondition(keep)).with_view(item_of), error_handling)


class Splitter(RowTransform):
    """Divides one stream into several, by conditions.

    Args:
        cases: conditions by the name of their output: `{email: "item.tell == 'email'"}` is `Splitter.email`. An item
            goes to the first case whose condition is true; items that match no case are in `Splitter.otherwise`.
        every_match: an item goes to every case whose condition is true.
        error_handling: `{output: errors}`: the output for items on which a condition fails.
    """

    def __init__(
        self, cases: Mapping[str, str], every_match: bool = False, error_handling: ErrorHandling = None
    ) -> None:
        conditions = mapping_of(cases, "Splitter: cases", "large: item.n > 100").items()
        splitter = transforms.Splitter(**{name: CelCondition(text) for name, text in conditions}).with_view(item_of)
        super().__init__(splitter.with_every_match() if every_match else splitter, error_handling)


class Sharder(RowTransform):
    """Divides one stream into shards by a stable hash of a key, as Kafka places keys in partitions.

    Args:
        shards: the number of shards; the outputs are `Sharder.shard_0`, `Sharder.shard_1`, ...
        key: what is hashed, `item.user_id`: text or a whole number.
        without: numbers of unhealthy shards, whose keys go to the healthy ones.
        error_handling: `{output: errors}`: the output for items that have no key.
    """

    def __init__(
        self, shards: int, key: str, without: Sequence[int] = (), error_handling: ErrorHandling = None
    ) -> None:
        sharder = transforms.Sharder(shards, CelValue(key)).without(*list_of(without, "Sharder: without", "2"))
        super().__init__(sharder.with_view(item_of), error_handling)


class Merger(Unconfigured):
    """Merges several streams into one, without changing their elements.

    Its inputs have names, `input: {email: Emails, sms: Texts}`, because Beam flattens a list before any transform.
    """

    def expand(self, inputs: Any) -> PCollection:
        """All inputs as one."""
        return streams_of(inputs) | self.label >> transforms.Merger()
