"""What the tests of the video pipelines share: videos, and a run in a process that can be killed."""

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from PIL import Image

from tests import ROOT
from tests.servers import wait_until

_EXAMPLES = runpy.run_path(str(ROOT / "examples" / "videos.py"))
make: Callable[..., Path] = _EXAMPLES["make"]
all_bad: Callable[[Path], Any] = _EXAMPLES["bad"]
all_good: Callable[[Path], Any] = _EXAMPLES["good"]

INVALID = "Invalid data found when processing input"
NO_MOOV = f"{INVALID} (mov,mp4,m4a,3gp,3g2,mj2: moov atom not found)"
CUT_OFF = {
    "bad-cut-off.mp4": "it ends after 1.2 of 2.0 s (mov,mp4,m4a,3gp,3g2,mj2: stream 1, offset 0x9ed5: partial file)",
    "bad-cut-off.mkv": "it ends after 4.8 of 10.0 s (matroska,webm: File ended prematurely)",
}
#: ffmpeg's reasons for the files of examples/videos.py that are no videos.
NO_VIDEOS = {
    "bad-empty.mp4": NO_MOOV,
    "bad-text.mp4": NO_MOOV,
    "bad-half.mp4": NO_MOOV,
    "bad-noise.mp4": NO_MOOV,
    "bad-sound-only.mp4": "there is no video in it, only audio",
}


def dead_letters(output: Path) -> list[dict[str, Any]]:
    """What a run has left in the default place."""
    path = output / "dead_letters.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def snapshot(output: Path) -> dict[str, tuple[int, int]]:
    """Every file that was made of a video, and when."""
    made = (path for path in output.rglob("*") if path.is_file() and path.parent != output)
    return {str(path.relative_to(output)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in made}


def size_of(picture: Path) -> tuple[int, int]:
    """Of a picture; fails if it can't be read to its end."""
    with Image.open(picture) as image:
        image.load()
        return image.size


def moments(picture: Path) -> int:
    """How many pictures an animation has."""
    with Image.open(picture) as image:
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
        return image.n_frames


def played(video: Path) -> tuple[int, tuple[int, int], float, list[tuple[str, float]]]:
    """A video played to its end: frames, size, seconds, and of each sound its codec and its seconds."""
    with av.open(video) as container:
        picture, frames = container.streams.video[0], 0
        heard = dict.fromkeys(container.streams.audio, 0.0)
        for packet in container.demux(picture, *heard):
            for frame in packet.decode():
                if packet.stream is picture:
                    assert frame.rotation == 0
                    frames += 1
                else:
                    heard[packet.stream] += frame.samples / frame.sample_rate
        sounds = [(sound.codec.canonical_name, round(seconds, 1)) for sound, seconds in heard.items()]
        return frames, (picture.width, picture.height), float(picture.duration * picture.time_base), sounds


def killed_at_work(pipeline: str, output: Path, *arguments: str, times: int) -> None:
    """Runs a pipeline, kill -9 for it all at a random moment of its work, again and again; then to its end."""
    command = [
        sys.executable,
        str(ROOT / "pipelines" / f"{pipeline}.py"),
        "--quiet",
        "--output",
        str(output),
        *arguments,
    ]
    chance = random.Random(7)
    for _ in range(times):
        before = _state(output)
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        wait_until(lambda: _state(output) != before or process.poll() is not None, "the first output")  # noqa: B023
        assert process.poll() is None, "the run ended before it could be killed; give it more to do"
        time.sleep(chance.uniform(0, 0.5))  # The moment is the point of it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)


def _state(output: Path) -> set[Path]:
    """What there is, half made things included."""
    # Not rglob, which fails on a folder that is renamed while it looks.
    return {Path(folder, name) for folder, folders, files in os.walk(output) for name in (*folders, *files)}
