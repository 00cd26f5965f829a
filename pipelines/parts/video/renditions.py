"""The work of video_renditions: what is made of one video, and how it is known to be made."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from beam_patterns.transforms.extend import replaced_file
from beam_patterns.transforms.queues import Message

from .folders import OutputFolders
from .frames import save_moving, shots
from .rungs import RUNGS, Rung
from .source import opened
from .transcode import transcode

__all__ = ["MANIFEST", "Animator", "Manifester", "Probe", "Renderer"]

MANIFEST, _ANIMATED = "manifest.json", "thumbnail.webp"
_STILLS, _STILL_SIZE = 12, 240


class Probe(NamedTuple):
    """A worker: the video's path in, what the other workers must know of it out, as JSON; fails for what is none."""

    folders: OutputFolders

    def __call__(self, video: str) -> Message:
        """Decodes the first frame."""
        with opened(video) as source:
            facts = {
                "video": video,
                "width": source.width,
                "height": source.height,
                "seconds": round(source.length, 3),
                "sound": bool(source.sounds),
            }
        return Message.of(facts, key=self.folders.name(video).encode())


class Renderer(NamedTuple):
    """A worker: a video as Probe describes it in, the path of its rendition out."""

    folders: OutputFolders
    rung: Rung

    def __call__(self, video: Message) -> str:
        """Writes the file, complete or not at all."""
        path = _path(video)
        with _made(self.folders, path, self.rung.file) as partial, opened(path) as source:
            transcode(source, str(partial), self.rung)
        return str(self.folders.folder(path) / self.rung.file)

    def is_done(self, video: Message) -> bool:
        """Whether the rendition is there, made of the video as it is now."""
        return _is_made(self.folders, _path(video), self.rung.file)


class Animator(NamedTuple):
    """A worker: a video as Probe describes it in, the path of its animated thumbnail out."""

    folders: OutputFolders

    def __call__(self, video: Message) -> str:
        """Writes the file, complete or not at all."""
        path = _path(video)
        with _made(self.folders, path, _ANIMATED) as partial, opened(path) as source:
            save_moving(shots(source, _STILLS, _STILL_SIZE), partial)
        return str(self.folders.folder(path) / _ANIMATED)

    def is_done(self, video: Message) -> bool:
        """Whether the thumbnail is there, made of the video as it is now."""
        return _is_made(self.folders, _path(video), _ANIMATED)


class Manifester(NamedTuple):
    """Writes what there is of a video when all of it is there; otherwise there is no manifest."""

    folders: OutputFolders

    def __call__(self, video: Message) -> Iterator[str]:
        """The manifest's path, or nothing."""
        facts = video.json()
        path, folder = facts["video"], self.folders.folder(facts["video"])
        due = [rung.file for rung in RUNGS if rung.fits(facts)]
        if not all(_is_made(self.folders, path, file) for file in (*due, _ANIMATED)):
            (folder / MANIFEST).unlink(missing_ok=True)
            return
        left_out = {
            rung.file: f"the video has no more than {rung.above} lines" for rung in RUNGS if not rung.fits(facts)
        }
        made = [{"file": file, **_described(folder / file)} for file in due]
        animated = {"file": _ANIMATED, "bytes": (folder / _ANIMATED).stat().st_size}
        manifest = {**facts, "video": self.folders.name(path), "renditions": made, "animated": animated}
        with replaced_file(folder / MANIFEST) as partial:
            text = json.dumps({**manifest, "left_out": left_out}, indent=1, ensure_ascii=False)
            partial.write_text(text, encoding="utf-8")
        yield str(folder / MANIFEST)


def _path(video: Message) -> str:
    return video.json()["video"]


@contextmanager
def _made(folders: OutputFolders, video: str, file: str) -> Iterator[Path]:
    """What is made of a video has the video's own time, from before it was read: so it is known to be of this video."""
    modified = Path(video).stat().st_mtime_ns
    with replaced_file(folders.folder(video) / file) as partial:
        yield partial
        os.utime(partial, ns=(modified, modified))


def _is_made(folders: OutputFolders, video: str, file: str) -> bool:
    made, source = folders.folder(video) / file, Path(video)
    return made.exists() and source.exists() and made.stat().st_mtime_ns == source.stat().st_mtime_ns


def _described(path: Path) -> dict[str, Any]:
    with opened(str(path)) as source:
        codecs = {"video": source.stream.codec.canonical_name, "sound": [s.codec.canonical_name for s in source.sounds]}
        size = {"width": source.width, "height": source.height, "seconds": round(source.length, 3)}
        return {**size, **codecs, "bytes": path.stat().st_size}
