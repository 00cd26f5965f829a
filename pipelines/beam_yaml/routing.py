"""Patterns that pass rows on unchanged, for YAML pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from beam_patterns import transforms

from .cel import Ask, Holds, listed, mapped
from .errors import Errors, error_output
from .items import item_of, whole

__all__ = ["Copier", "Filter", "Merger", "Sharder", "Splitter"]


class Copier(beam.PTransform):
    """Duplicates one stream into several identical ones.

    Args:
        branches: the names of the outputs: `[uhd, mobile]` are `Copier.uhd` and `Copier.mobile`.
    """

    def __init__(self, branches: Sequence[str]) -> None:
        super().__init__()
        self._copier = transforms.Copier(*listed(branches, "Copier: branches", "uhd, mobile"))

    def expand(self, rows: PCollection) -> Any:
        """One branch per name."""
        return (whole(rows) | self.label >> self._copier)._asdict()


class Filter(beam.PTransform):
    """Keeps the items that meet a condition: Beam's own Filter, with `language: cel`.

    Args:
        keep: the condition, `item.age >= 18`.
        language: always `cel`, or it is one of Beam's own.
        error_handling: `{output: errors}`: the output for items on which the condition fails.
    """

    def __init__(self, keep: str, language: str, error_handling: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if language != "cel":
            raise ValueError(f"Filter: the language is cel, not {language!r}")
        self._filter, self._errors = transforms.Filter(Holds(keep)).with_view(item_of), error_output(error_handling)

    def expand(self, rows: PCollection) -> Any:
        """The kept items."""
        errors, rows = Errors(self._errors), whole(rows)
        return errors.beside(rows | self.label >> errors.guard(self._filter), rows)


class Splitter(beam.PTransform):
    """Divides one stream into several, by conditions.

    Args:
        cases: conditions by the name of their output: `{email: "item.tell == 'email'"}` is `Splitter.email`. The first
            that holds takes the item; what meets none is in `Splitter.otherwise`.
        every_match: an item goes to every case that holds.
        error_handling: `{output: errors}`: the output for items on which a condition fails.
    """

    def __init__(
        self,
        cases: Mapping[str, str],
        every_match: bool = False,
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        given = mapped(cases, "Splitter: cases", "large: item.n > 100")
        splitter = transforms.Splitter(**{name: Holds(text) for name, text in given.items()}).with_view(item_of)
        self._splitter = splitter.with_every_match() if every_match else splitter
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection) -> Any:
        """One branch per case, and the rest."""
        errors, rows = Errors(self._errors), whole(rows)
        return errors.beside((rows | self.label >> errors.guard(self._splitter))._asdict(), rows)


class Sharder(beam.PTransform):
    """Divides one stream into shards by a stable hash of a key, as Kafka places keys in partitions.

    Args:
        shards: how many; the outputs are `Sharder.shard_0`, `Sharder.shard_1`, ...
        key: what is hashed, `item.user_id`: text or a whole number.
        without: numbers of sick shards, whose keys go to the healthy ones.
        error_handling: `{output: errors}`: the output for items that have no key.
    """

    def __init__(
        self,
        shards: int,
        key: str,
        without: Sequence[int] = (),
        error_handling: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._sharder = (
            transforms.Sharder(shards, Ask(key)).without(*listed(without, "Sharder: without", "2")).with_view(item_of)
        )
        self._errors = error_output(error_handling)

    def expand(self, rows: PCollection) -> Any:
        """One output per shard."""
        errors, rows = Errors(self._errors), whole(rows)
        shards = rows | self.label >> errors.guard(self._sharder)
        return errors.beside({f"shard_{i}": shard for i, shard in enumerate(shards)}, rows)


class Merger(beam.PTransform):
    """Turns several streams into one, without changing what is in them.

    Its inputs have names, `input: {email: Emails, sms: Texts}`: a list would be flattened by Beam before.
    """

    def __init__(self) -> None:
        super().__init__()

    def expand(self, inputs: Any) -> PCollection:
        """All inputs as one."""
        return ({"input": inputs} if isinstance(inputs, PCollection) else inputs) | self.label >> transforms.Merger()
