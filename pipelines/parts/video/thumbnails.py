"""The work of video_thumbnails: frames, a contact sheet and an animated preview of one video."""

import json
from typing import Any, NamedTuple

from beam_patterns.pipelines.parts.files.replaced import replaced_folder

from .folders import OutputFolders, Stamp
from .frames import save_moving, sheet, shots
from .source import opened

__all__ = ["FACTS", "Thumbnailer"]

FACTS, _SHEET, _PREVIEW = "thumbnails.json", "sheet.jpg", "preview.webp"
_QUALITY = 85


class Thumbnailer(NamedTuple):
    """A worker: the video's path in, the path of a folder with its pictures out.

    ```
    OUTPUT/holiday.mp4/frame-01.jpg ... frame-12.jpg
                       sheet.jpg
                       preview.webp
                       thumbnails.json    what is in the folder, and what it was made of
    ```
    """

    folders: OutputFolders
    frames: int
    size: int

    def __call__(self, video: str) -> str:
        """Makes the folder, all of it or none."""
        stamp = Stamp.of(video)
        with opened(video) as source:
            taken = shots(source, self.frames, self.size)
            facts = {
                "video": self.folders.name(video),
                "seconds": round(source.length, 3),
                "width": source.width,
                "height": source.height,
            }
        final = self.folders.folder(video)
        with replaced_folder(final) as folder:
            names = [f"frame-{number:0{len(str(self.frames))}}.jpg" for number in range(1, len(taken) + 1)]
            for name, shot in zip(names, taken, strict=True):
                shot.picture.save(folder / name, quality=_QUALITY)
            sheet(taken).save(folder / _SHEET, quality=_QUALITY)
            save_moving(taken, folder / _PREVIEW)
            files = [{"file": name, "seconds": round(shot.seconds, 3)} for name, shot in zip(names, taken, strict=True)]
            facts |= {"frames": files, "sheet": _SHEET, "preview": _PREVIEW, "made_of": self._made_of(stamp)}
            (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        return str(final)

    def is_done(self, video: str) -> bool:
        """Whether the folder is there, made of the video as it is now and with these settings."""
        folder = self.folders.folder(video)
        try:
            facts = json.loads((folder / FACTS).read_bytes())
            files = [facts["sheet"], facts["preview"], *(frame["file"] for frame in facts["frames"])]
            return facts["made_of"] == self._made_of(Stamp.of(video)) and all(
                (folder / file).exists() for file in files
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _made_of(self, stamp: Stamp) -> dict[str, Any]:
        return {**stamp._asdict(), "frames": self.frames, "size": self.size}
