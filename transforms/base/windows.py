"""Checks of windows, when a pipeline is built."""

from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows

__all__ = ["refuse_endless"]


def refuse_endless(streams: dict[str, PCollection], pattern: str) -> None:
    """Raises ValueError for an unbounded input in the global window, at whose end nothing would ever come out."""
    for name, stream in streams.items():
        windowing = stream.windowing
        if not stream.is_bounded and isinstance(windowing.windowfn, GlobalWindows) and windowing.is_default():
            raise ValueError(
                f"{pattern}: the input {name or stream} is unbounded and in the global window, which never ends; "
                "put `beam.WindowInto(FixedWindows(60))` before it"
            )
