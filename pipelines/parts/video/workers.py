"""The work of video_renditions on one video, and how a result is recognised as done."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from beam_patterns.transforms.extend import replaced_file
from beam_patterns.transforms.queues import Message

from .folders import OutputFolders
from .frames import save_animation, shots
from .renditions import RENDITIONS, Rendition
from .source import Source, opened

__all__ = ["THUMBNAIL", "ManifestWriter", "Probe", "Renderer", "Thumbnail"]

_MANIFEST = "manifest.json"


class Thumbnail(NamedTuple):
    """A small animation of a video's frames."""

    file: str = "thumbnail.webp"
    frames: int = 12
    size: int = 240

    def render(self, source: Source, path: str) -> None:
        """Writes the file."""
        save_animation(shots(source, self.frames, self.size), Path(path))


THUMBNAIL = Thumbnail()


@dataclass(frozen=True)
class Probe:
    """A worker from the path of a video to its description in JSON, which the other workers need."""

    folders: OutputFolders

    def __call__(self, video: str) -> Message:
        """Decodes the first frame; raises BrokenVideoError for a file that is not a video."""
        with opened(video) as source:
            about = {"video": video, **source.description, "sound": bool(source.audio)}
        return Message.of(about, key=self.folders.name(video).encode())


@dataclass(frozen=True)
class Renderer:
    """A worker from a video as Probe describes it to the path of a rendition or thumbnail.

    The file gets the video's modification time, read before the video is: so a later run knows which video it shows.
    """

    folders: OutputFolders
    result: Rendition | Thumbnail

    def __call__(self, video: Message) -> str:
        """Writes the file, complete or not at all."""
        path = video.json()["video"]
        final, modified = self.folders.folder(path) / self.result.file, Path(path).stat().st_mtime_ns
        with replaced_file(final) as partial:
            with opened(path) as source:
                self.result.render(source, str(partial))
            os.utime(partial, ns=(modified, modified))
        return str(final)

    def is_done(self, video: Message) -> bool:
        """Whether the file exists and shows the video as it is now."""
        source = Path(video.json()["video"])
        made = self.folders.folder(str(source)) / self.result.file
        return made.exists() and source.exists() and made.stat().st_mtime_ns == source.stat().st_mtime_ns


class ManifestWriter(NamedTuple):
    """Describes the results of a video, when all of them exist; deletes the manifest otherwise."""

    folders: OutputFolders

    def __call__(self, video: Message) -> Iterator[str]:
        """Yields the path of the manifest, or nothing."""
        about = video.json()
        folder, needed = self.folders.folder(about["video"]), [one for one in RENDITIONS if one.is_needed(about)]
        results: tuple[Rendition | Thumbnail, ...] = (*needed, THUMBNAIL)
        if not all(Renderer(self.folders, result).is_done(video) for result in results):
            (folder / _MANIFEST).unlink(missing_ok=True)
            return
        manifest = {
            **about,
            "video": self.folders.name(about["video"]),
            "renditions": [{"file": one.file, **_described(folder / one.file)} for one in needed],
            "animated": {"file": THUMBNAIL.file, "bytes": (folder / THUMBNAIL.file).stat().st_size},
            "left_out": {
                one.file: f"the video has no more than {one.above} lines" for one in RENDITIONS if one not in needed
            },
        }
        with replaced_file(folder / _MANIFEST) as partial:
            partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")
        yield str(folder / _MANIFEST)


def _described(path: Path) -> dict[str, Any]:
    with opened(str(path)) as source:
        return {
            **source.description,
            "video": source.stream.codec.canonical_name,
            "sound": [audio.codec.canonical_name for audio in source.audio],
            "bytes": path.stat().st_size,
        }
