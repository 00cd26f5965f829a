"""Options and checks that pipelines over files share."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from beam_patterns.pipelines import Options, check_queues, queue

from .find import FilePattern

__all__ = ["FileOptions", "check_packages", "letters_of"]


class FileOptions(Options):
    """Options of a pipeline from files to a folder.

    A subclass has the options `output` and `dead_letters`, and one for the files, which it names in `files`.
    """

    if TYPE_CHECKING:
        output: str
        dead_letters: str

    files: ClassVar[str]
    #: Packages that the pipeline needs, by module, and the extra that installs them.
    packages: ClassVar[Mapping[str, str]]
    extra: ClassVar[str]
    streams: ClassVar[bool] = False

    def check(self) -> None:
        """Raises ValueError for values that can't work, before anything starts."""
        try:
            pattern = self.pattern
        except ValueError as error:
            raise ValueError(f"--{self.files}: {error}") from None
        pattern.check_apart_from(self.output, self.files)
        check_queues([], [("--dead_letters", queue(self.letters))], self.streaming)
        check_packages(self.files, self.packages, self.extra)

    @property
    def pattern(self) -> FilePattern:
        """The files to read."""
        return FilePattern.of(getattr(self, self.files))

    @property
    def letters(self) -> str:
        """The URI of the dead-letter queue."""
        return letters_of(self.dead_letters, self.output)


def check_packages(what: str, packages: Mapping[str, str], extra: str) -> None:
    """Raises ValueError for a package that is not installed, named with the extra that installs it."""
    for module, package in packages.items():
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"{what} need the package {package}: pip install 'beam-patterns[{extra}]'")


def letters_of(dead_letters: str, output: str) -> str:
    """The URI of the dead-letter queue: by default a file in the output folder."""
    return dead_letters or str(Path(output).absolute() / "dead_letters.jsonl")
