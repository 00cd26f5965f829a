"""Shared by the tests of the video pipelines: videos, and a run in a process that can be killed."""

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

from tests import ROOT, SOAK
from tests.servers import wait_until

_EXAMPLES = runpy.run_path(str(ROOT / "examples" / "videos.py"))
make: Callable[..., Path] = _EXAMPLES["make"]
all_bad: Callable[[Path], Any] = _EXAMPLES["bad"]
all_good: Callable[[Path], Any] = _EXAMPLES["good"]

KILLS = 4 * SOAK

INVALID = "Invalid data found when processing input"
NO_MOOV = f"{INVALID} (mov,mp4,m4a,3gp,3g2,mj2: moov atom not found)"
CUT_OFF = {
    "bad-cut-off.mp4": "it ends after 1.2 of 2.0 s (mov,mp4,m4a,3gp,3g2,mj2: stream 1, offset 0x9ed5: partial file)",
    "bad-cut-off.mkv": "it ends after 4.8 of 10.0 s (matroska,webm: File ended prematurely)",
}
#: ffmpeg's reasons for the files of examples/videos.py that are not videos.
NO_VIDEOS = {
    "bad-empty.mp4": NO_MOOV,
    "bad-text.mp4": NO_MOOV,
    "bad-half.mp4": NO_MOOV,
    "bad-noise.mp4": NO_MOOV,
    "bad-sound-only.mp4": "the file contains no video, only audio",
}


def dead_letters(output: Path) -> list[dict[str, Any]]:
    """The dead letters of a run in the default file."""
    path = output / "dead_letters.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def snapshot(output: Path) -> dict[str, tuple[int, int]]:
    """Every result of a video, with its modification time and inode."""
    results = (path for path in output.rglob("*") if path.is_file() and path.parent != output)
    return {str(path.relative_to(output)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in results}


def size_of(path: Path) -> tuple[int, int]:
    """The size of an image; fails if the image is not complete."""
    with Image.open(path) as image:
        image.load()
        return image.size


def moments(path: Path) -> int:
    """The number of frames of an animation."""
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
        return image.n_frames


def played(video: Path) -> tuple[int, tuple[int, int], float, list[tuple[str, float]]]:
    """Plays a video to its end: frames, size, seconds, and the codec and seconds of each audio stream."""
    with av.open(video) as container:
        stream, frames = container.streams.video[0], 0
        heard = dict.fromkeys(container.streams.audio, 0.0)
        for packet in container.demux(stream, *heard):
            for frame in packet.decode():
                if packet.stream is stream:
                    assert frame.rotation == 0
                    frames += 1
                else:
                    heard[packet.stream] += frame.samples / frame.sample_rate
        sounds = [(audio.codec.canonical_name, round(seconds, 1)) for audio, seconds in heard.items()]
        return frames, (stream.width, stream.height), float(stream.duration * stream.time_base), sounds


def killed_at_work(pipeline: str, output: Path, *arguments: str, times: int) -> None:
    """Runs a pipeline and kills it at a random moment of its work, repeatedly; then runs it to its end."""
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
        time.sleep(chance.uniform(0, 0.5))  # The random moment is what is tested.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)


def _state(output: Path) -> set[Path]:
    """Everything in the folder, incomplete results included."""
    # Not rglob, which fails on a folder that is renamed meanwhile.
    return {Path(folder, name) for folder, folders, files in os.walk(output) for name in (*folders, *files)}
