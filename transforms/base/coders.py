"""The coder of the records that this package passes between stages: small named tuples of plain values."""

from typing import Any

from apache_beam.coders import Coder, FastPrimitivesCoder, registry


class StableCoder(Coder):
    """A coder of one class that always encodes a value as the same bytes, which a key needs."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return self._kind

    def __reduce__(self) -> Any:
        return type(self), (self._kind,)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._kind is other._kind

    def __hash__(self) -> int:
        return hash(self._kind)

    @classmethod
    def from_type_hint(cls, typehint: type, unused_registry: Any) -> Any:
        return cls(typehint)

    @classmethod
    def register(cls, kind: type) -> type:
        """Makes this the coder of a class; a class decorator."""
        registry.register_coder(kind, cls)
        return kind


class RecordCoder(StableCoder):
    """Encodes a NamedTuple of plain values (bytes, str, numbers, None, tuples of these), field by field.

    It is several times faster than Beam's row coder, and stable under updates: no schema id changes from run to run.
    It is for data between workers only: Beam's decoder does not check its input, and unpickles what has that tag.
    """

    def __init__(self, kind: type) -> None:
        super().__init__(kind)
        self._fields = FastPrimitivesCoder().get_impl()

    def encode(self, value: Any) -> bytes:
        return self._fields.encode(tuple(value))

    def decode(self, encoded: bytes) -> Any:
        return tuple.__new__(self._kind, self._fields.decode(encoded))
