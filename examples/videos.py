"""Writes test videos of many kinds, and files that are not videos, into a folder.

    python examples/videos.py --folder tmp/videos
    python examples/videos.py --folder tmp/videos --count 20 --seconds 20 --size 1280x720

Without --count: one file of each kind, including broken ones. With --count: that many good videos of one size. Needs
PyAV.
"""

import argparse
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

os.environ["SVT_LOG"] = "0"  # Before the AV1 encoder is loaded, to turn off its many log lines.

import av
import numpy as np

_RATE, _SOUND = 25, 48_000


@contextmanager
def _kept_scheduling() -> Iterator[None]:
    """Restores the scheduling of the thread: the AV1 encoder makes its caller a real-time thread, if the user may.

    Everything that is started later would be real-time too, and take the processors from everything else.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def make(
    path: Path,
    size: tuple[int, int] = (320, 240),
    frames: int = 50,
    codec: str = "libx264",
    sound: str | None = "aac",
    *,
    rotation: int = 0,
    square: Fraction = Fraction(1),
    every: int = 50,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
) -> Path:
    """Writes a video of a bar that moves from left to right over a changing colour, with a tone; returns the path."""
    with _kept_scheduling(), av.open(path, "w", options=options or {}) as container:
        picture = container.add_stream(codec, rate=_RATE)
        picture.width, picture.height, picture.pix_fmt = *size, pixels
        picture.gop_size = every
        picture.options = encoder or ({"preset": "ultrafast"} if codec == "libx264" else {})
        if square != 1:
            picture.codec_context.sample_aspect_ratio = picture.sample_aspect_ratio = square
        if rotation:
            picture.set_display_rotation(rotation)
        tone = container.add_stream(sound, rate=_SOUND) if sound else None
        if tone is not None:
            tone.layout = "stereo"
        for number in range(frames):
            for packet in picture.encode(_frame(number, frames, size)):
                container.mux(packet)
            if tone is not None:
                for packet in tone.encode(_tone(number)):
                    container.mux(packet)
        for stream in (picture, tone):
            for packet in stream.encode(None) if stream is not None else ():
                container.mux(packet)
    return path


def _frame(number: int, frames: int, size: tuple[int, int]) -> av.VideoFrame:
    width, height = size
    done = number / max(frames - 1, 1)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (int(40 + 160 * done), 90, int(200 - 160 * done))
    image[: height // 8] = (240, 240, 230)  # Marks the upper edge.
    at = int(done * (width - width // 10))
    image[height // 4 :, at : at + max(width // 10, 1)] = (255, 200, 0)
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    frame.pts, frame.time_base = number, Fraction(1, _RATE)
    return frame


def _tone(number: int) -> av.AudioFrame:
    count = _SOUND // _RATE
    wave = np.sin(2 * math.pi * 440 * (np.arange(count) + number * count) / _SOUND).astype(np.float32) * 0.2
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND, number * count, Fraction(1, _SOUND)
    return frame


def good(folder: Path) -> Iterator[Path]:
    """Writes one video of each kind that can be played; yields the paths."""
    yield make(folder / "h264.mp4")
    yield make(folder / "hevc.mp4", (640, 360), codec="libx265", encoder={"x265-params": "log-level=none"})
    yield make(folder / "vp9.webm", (426, 240), codec="libvpx-vp9", sound="libopus")
    yield make(folder / "av1.mkv", (256, 144), codec="libsvtav1", sound="flac")
    yield make(folder / "mpeg2.ts", (352, 288), codec="mpeg2video", sound="mp2")
    yield make(folder / "mpeg4.avi", (320, 180), codec="mpeg4", sound="libmp3lame")
    yield make(folder / "prores.mov", (320, 180), codec="prores_ks", sound="pcm_s16le", pixels="yuv422p10le")
    yield make(folder / "full-hd.mp4", (1920, 1080))
    yield make(folder / "portrait.mp4", (480, 270), rotation=-90)
    yield make(folder / "upside-down.mp4", (320, 180), rotation=180)
    yield make(folder / "anamorphic.mp4", (360, 288), square=Fraction(16, 15))
    yield make(folder / "silent.mp4", sound=None)
    yield make(folder / "one-frame.mp4", frames=1, sound=None)
    yield make(folder / "very-short.mp4", frames=3)
    yield make(folder / "odd-size.mkv", (161, 121), codec="ffv1", sound=None, pixels="yuv444p")
    yield make(folder / "rare-key-frames.mp4", frames=500, every=500)
    yield make(folder / "a name with spaces, ümlauts & <tags>.mp4")


def bad(folder: Path) -> Iterator[Path]:
    """Writes files that are not videos, or damaged ones; yields the paths."""
    whole = make(folder / ".whole.mp4").read_bytes()
    cut = make(folder / ".cut.mp4", options={"movflags": "faststart"}).read_bytes()
    matroska = make(folder / ".cut.mkv", frames=250).read_bytes()
    for part in (".whole.mp4", ".cut.mp4", ".cut.mkv"):
        (folder / part).unlink()
    broken = {
        "bad-empty.mp4": b"",
        "bad-text.mp4": b"This is a text that somebody named .mp4.\n" * 40,
        "bad-half.mp4": whole[: len(whole) // 2],
        "bad-cut-off.mp4": cut[: len(cut) * 2 // 3],
        "bad-cut-off.mkv": matroska[: len(matroska) // 2],
        "bad-noise.mp4": np.random.default_rng(1).bytes(100_000),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
        yield folder / name
    yield _audio_only(folder / "bad-sound-only.mp4")


def _audio_only(path: Path) -> Path:
    with av.open(path, "w") as container:
        tone = container.add_stream("aac", rate=_SOUND)
        tone.layout = "stereo"
        for number in range(25):
            container.mux(tone.encode(_tone(number)))
        container.mux(tone.encode(None))
    return path


def main() -> None:
    """Writes the files and prints their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--count", type=int, help="number of good videos to write instead of one file of each kind")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--size", default="1280x720")
    o = parser.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    if o.count:
        width, height = map(int, o.size.split("x"))
        for number in range(1, o.count + 1):
            print(make(o.folder / f"video-{number:02}.mp4", (width, height), o.seconds * _RATE, every=250))
        return
    for path in (*good(o.folder), *bad(o.folder)):
        print(path)


if __name__ == "__main__":
    main()
