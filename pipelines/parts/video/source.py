"""A video, opened with ffmpeg: its size as people see it, its length, its frames by time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from beam_patterns.transforms.work import PermanentError

if TYPE_CHECKING:
    import av
    from PIL import Image

__all__ = ["BrokenVideoError", "Source", "opened"]

#: Seconds of video that are decoded rather than skipped in a file without an index.
_LONGEST_DECODE = 5.0
#: Seconds that may be missing at the end of a complete video.
_MISSING = 1.0


class BrokenVideoError(PermanentError):
    """A file that can't be played, with ffmpeg's reason. No retry changes that."""


@contextmanager
def opened(path: str) -> Iterator["Source"]:
    """A video for reading; ffmpeg's errors about a broken one become BrokenVideoErrors."""
    import av
    import av.logging

    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # Otherwise a reason is left out if the video before had the same one.
    with av.logging.Capture(local=False) as log:
        try:
            with closing(Source(path, log)) as source:
                yield source
        except av.FFmpegError as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | IsADirectoryError):
                raise  # An error of the file system, which may be temporary.
            raise BrokenVideoError(_with_reason(error.strerror or str(error), log)) from error


class Source:
    """An open video. Times are seconds from its start; sizes are as shown: turned upright, with square pixels."""

    def __init__(self, path: str, log: list[Any]) -> None:
        self._path, self._log = path, log
        self.container = _container(path)
        self.stream = _video_stream(self.container)
        self.rotation = self._first().rotation % 360  # Degrees counter-clockwise.
        codec = self.stream.codec_context
        self.width, self.height = max(round(codec.width * (self.stream.sample_aspect_ratio or 1)), 1), codec.height
        if self.is_turned:
            self.width, self.height = self.height, self.width
        self.start = (self.container.start_time or 0) / 1_000_000
        self.length = self._length()

    @property
    def is_turned(self) -> bool:
        """Whether the stored width is the height on the screen."""
        return self.rotation in (90, 270)

    @property
    def audio(self) -> list[Any]:
        """The audio streams that can be decoded."""
        return [stream for stream in self.container.streams.audio if stream.codec_context is not None]

    @property
    def description(self) -> dict[str, Any]:
        """The size and the length, for JSON."""
        return {"width": self.width, "height": self.height, "seconds": round(self.length, 3)}

    def start_in(self, base: Fraction) -> int:
        """The start of the video in units of a stream's time base."""
        return round(self.start / base)

    def check_complete(self, seconds: float) -> None:
        """Raises BrokenVideoError if the data ended at this time, too early, and ffmpeg logged an error: it is cut off.

        Call it at the end of the data.
        """
        if self._log and seconds < self.length - min(_MISSING, self.length / 10):
            raise BrokenVideoError(_with_reason(f"it ends after {seconds:.1f} of {self.length:.1f} s", self._log))

    def decoded(self, packet: "av.Packet") -> list[Any]:
        """The frames in a packet; none if it is damaged, as in players."""
        import av

        try:
            return packet.decode()
        except av.error.InvalidDataError:
            return []

    def rewind(self) -> None:
        """Goes to the first packet by opening the file again: some formats can't seek, or not to their first packet."""
        self.container.close()
        self.container = _container(self._path)
        self.stream = _video_stream(self.container)

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def frames_at(self, moments: list[float]) -> Iterator[tuple[float, "av.VideoFrame"]]:
        """The frames shown at these ascending times, with their own times, each frame once."""
        self.rewind()
        frames = self._frames()
        shown, following, yielded = None, next(frames, None), None
        for moment in moments:
            if following is not None and self._seeks(self._time(following), moment):
                frames = self._frames()
                shown, following = None, next(frames, None)
            while following is not None and (shown is None or self._time(following) <= moment):
                shown, following = following, next(frames, None)
            if following is None and shown is not None:
                self.check_complete(self._time(shown))
            if shown is not None and shown.pts != yielded:
                yielded = shown.pts
                yield self._time(shown), shown

    def image(self, frame: "av.VideoFrame", longest: int) -> "Image.Image":
        """A frame as an upright image whose longer side is at most `longest`; it is never enlarged."""
        from PIL import Image

        scale = min(longest / max(self.width, self.height), 1)
        width, height = (max(round(length * scale), 1) for length in (self.width, self.height))
        stored = (height, width) if self.is_turned else (width, height)
        image = frame.to_image(width=stored[0], height=stored[1], interpolation="AREA")
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        return image.transpose(turns[self.rotation]) if self.rotation in turns else image

    def _frames(self) -> Iterator["av.VideoFrame"]:
        return (frame for packet in self.container.demux(self.stream) for frame in self.decoded(packet))

    def _first(self) -> "av.VideoFrame":
        first = next(self._frames(), None)
        if first is None:
            raise BrokenVideoError(_with_reason("the video has no frames", self._log))
        if first.pts is None:
            raise BrokenVideoError("its frames have no timestamps, as in raw streams; convert it to MP4 or the like")
        return first

    def _time(self, frame: "av.VideoFrame") -> float:
        return max((frame.time or 0.0) - self.start, 0.0)

    def _length(self) -> float:
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        if self.container.duration:
            return self.container.duration / 1_000_000
        # The file does not contain its length: the end of the last packet is the length.
        self.rewind()
        packets = (packet for packet in self.container.demux(self.stream) if packet.pts is not None)
        last = max((packet.pts + (packet.duration or 0) for packet in packets), default=0)
        return max(float(last * self.stream.time_base) - self.start, 0.0)

    def _seeks(self, position: float, moment: float) -> bool:
        """Goes to the last key frame before a time, if that saves decoding; returns whether it did."""
        import av

        base: Fraction = self.stream.time_base
        target = int((moment + self.start) / base)
        entries = self.stream.index_entries
        at = entries.search_timestamp(target) if len(entries) else -1
        # Entries have decoding times: a frame may be shown a little later than its entry says.
        ahead = float(entries[at].timestamp * base) - self.start - 1 if at >= 0 else moment - _LONGEST_DECODE
        if ahead <= position:
            return False
        try:
            self.container.seek(target - int(1 / base), stream=self.stream)
        except av.FFmpegError:  # The format can't seek.
            return False
        return True


def _container(path: str) -> "av.container.InputContainer":
    import av

    # Keeps a playlist that is named like a video from loading anything from elsewhere.
    return av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _video_stream(container: "av.container.InputContainer") -> Any:
    import av

    cover = av.stream.Disposition.attached_pic  # The cover image of a music file.
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise BrokenVideoError(f"the file contains no video, only {kinds}")


def _with_reason(error: str, log: list[Any]) -> str:
    lines = [f"{name}: {text.strip()}" for _, name, text in log if text.strip()]
    return f"{error} ({lines[-1]})" if lines else error
