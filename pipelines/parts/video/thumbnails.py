"""The work of video_thumbnails: frames, a contact sheet and an animated preview of one video."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .folders import OutputFolders, replaced_folder
from .frames import contact_sheet, save_animation, shots
from .source import opened

__all__ = ["DESCRIPTION", "Thumbnailer"]

DESCRIPTION, _SHEET, _PREVIEW = "thumbnails.json", "sheet.jpg", "preview.webp"
_QUALITY = 85


@dataclass(frozen=True)
class Thumbnailer:
    """A worker from the path of a video to the path of a folder with its thumbnails.

    ```
    OUTPUT/holiday.mp4/frame-01.jpg ... frame-12.jpg
                       sheet.jpg
                       preview.webp
                       thumbnails.json    lists the files, and identifies the video and the settings
    ```
    """

    folders: OutputFolders
    frames: int
    size: int

    def __call__(self, video: str) -> str:
        """Makes the folder, complete or not at all."""
        made_of = self._made_of(video)  # Before the video is read: one that is replaced meanwhile is done again.
        with opened(video) as source:
            taken = shots(source, self.frames, self.size)
            about = {"video": self.folders.name(video), **source.description}
        final = self.folders.folder(video)
        with replaced_folder(final) as folder:
            files = []
            for number, shot in enumerate(taken, 1):
                name = f"frame-{number:0{len(str(self.frames))}}.jpg"
                shot.image.save(folder / name, quality=_QUALITY)
                files.append({"file": name, "seconds": round(shot.seconds, 3)})
            contact_sheet(taken).save(folder / _SHEET, quality=_QUALITY)
            save_animation(taken, folder / _PREVIEW)
            about |= {"frames": files, "sheet": _SHEET, "preview": _PREVIEW, "made_of": made_of}
            (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        return str(final)

    def is_done(self, video: str) -> bool:
        """Whether the folder is complete, made of the video as it is now, with these settings."""
        folder = self.folders.folder(video)
        try:
            about = json.loads((folder / DESCRIPTION).read_bytes())
            files = [about["sheet"], about["preview"], *(frame["file"] for frame in about["frames"])]
            return about["made_of"] == self._made_of(video) and all((folder / file).exists() for file in files)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _made_of(self, video: str) -> dict[str, Any]:
        status = Path(video).stat()
        return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns, "frames": self.frames, "size": self.size}
