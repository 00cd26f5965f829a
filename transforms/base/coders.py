"""The coder of the records that this package passes between stages: small named tuples of plain values."""

from typing import Any

from apache_beam.coders import Coder, FastPrimitivesCoder, registry

__all__ = ["RecordCoder"]


class RecordCoder(Coder):
    """Encodes a NamedTuple of plain values (bytes, str, numbers, None, tuples of these), field by field.

    It is several times faster than Beam's row coder, and stable under updates: no schema id changes from run to run.
    """

    def __init__(self, record: type) -> None:
        self._record = record
        self._fields = FastPrimitivesCoder().get_impl()

    def encode(self, value: Any) -> bytes:
        return self._fields.encode(tuple(value))

    def decode(self, encoded: bytes) -> Any:
        return tuple.__new__(self._record, self._fields.decode(encoded))

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return self._record

    def __reduce__(self) -> Any:
        return RecordCoder, (self._record,)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._record is other._record

    def __hash__(self) -> int:
        return hash(self._record)

    @classmethod
    def from_type_hint(cls, typehint: type, unused_registry: Any) -> Any:
        return cls(typehint)

    @classmethod
    def register(cls, record: type) -> type:
        """Makes this the coder of a class; a class decorator."""
        registry.register_coder(record, cls)
        return record
