"""A video, opened with ffmpeg: its size as people see it, its length, its frames by time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from beam_patterns.transforms.work import PermanentError

if TYPE_CHECKING:
    import av
    from PIL import Image

__all__ = ["BrokenVideoError", "Source", "fitted", "opened"]

_LONGEST_DECODE, _MISSING = 5.0, 1.0


class BrokenVideoError(PermanentError):
    """What no retry will make a video of, with ffmpeg's reason."""


@contextmanager
def opened(path: str) -> Iterator["Source"]:
    """A video for reading; what ffmpeg says about a broken one becomes a BrokenVideoError."""
    import av
    import av.logging

    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # Else the reason is left out when the video before had the same.
    with av.logging.Capture(local=False) as said:
        try:
            with closing(Source(path, said)) as source:
                yield source
        except av.FFmpegError as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | IsADirectoryError):
                raise  # Of the file system, perhaps for a moment.
            raise BrokenVideoError(_reason(error.strerror, said)) from error


class Source:
    """An open video. Times are seconds from its beginning, sizes are what people see: turned, with square pixels."""

    def __init__(self, path: str, said: list[Any]) -> None:
        self._path, self._said = path, said
        self.container = _container(path)
        self.stream = _video_stream(self.container)
        self.rotation = self._first().rotation % 360  # Degrees counter-clockwise.
        codec = self.stream.codec_context
        self.width, self.height = max(round(codec.width * (self.stream.sample_aspect_ratio or 1)), 1), codec.height
        if self.turned:
            self.width, self.height = self.height, self.width
        self.start = (self.container.start_time or 0) / 1_000_000
        self.length = self._length()

    @property
    def turned(self) -> bool:
        """Whether width and height change places between the file and the screen."""
        return self.rotation in (90, 270)

    @property
    def sounds(self) -> list[Any]:
        """The streams of sound that can be played."""
        return [stream for stream in self.container.streams.audio if stream.codec_context is not None]

    def ticks(self, base: Fraction) -> int:
        """Where the video begins, in a stream's own clock."""
        return round(self.start / base)

    def check_ended(self, seconds: float) -> None:
        """To be called at the end of the data: a video that ends before its time, with a complaint, is cut off."""
        if self._said and seconds < self.length - min(_MISSING, self.length / 10):
            ends = f"it ends after {seconds:.1f} of {self.length:.1f} s"
            raise BrokenVideoError(_reason(ends, self._said))

    def decoded(self, packet: "av.Packet") -> list[Any]:
        """The frames in a packet; none of a damaged one, as players do."""
        import av

        try:
            return packet.decode()
        except av.error.InvalidDataError:
            return []

    def rewind(self) -> None:
        """To the first packet. By opening the file again: some formats can't jump, others only to a later packet."""
        self.container.close()
        self.container = _container(self._path)
        self.stream = _video_stream(self.container)

    def close(self) -> None:
        """Gives the file back."""
        self.container.close()

    def frames_at(self, moments: list[float]) -> Iterator[tuple[float, "av.VideoFrame"]]:
        """The frames shown at these ascending moments, with their times, each once."""
        self.rewind()
        frames = self._frames()
        shown, following, given = None, next(frames, None), None
        for moment in moments:
            if following is not None and self._may_jump(self._time(following), moment):
                frames = self._frames()
                shown, following = None, next(frames, None)
            while following is not None and (shown is None or self._time(following) <= moment):
                shown, following = following, next(frames, None)
            if following is None and shown is not None:
                self.check_ended(self._time(shown))
            if shown is not None and shown.pts != given:
                given = shown.pts
                yield self._time(shown), shown

    def picture(self, frame: "av.VideoFrame", longest: int) -> "Image.Image":
        """A frame upright, its longer side at most so long."""
        from PIL import Image

        width, height = fitted((self.width, self.height), longest)
        stored = (height, width) if self.turned else (width, height)
        picture = frame.to_image(width=stored[0], height=stored[1], interpolation="AREA")
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        return picture.transpose(turns[self.rotation]) if self.rotation in turns else picture

    def _frames(self) -> Iterator["av.VideoFrame"]:
        return (frame for packet in self.container.demux(self.stream) for frame in self.decoded(packet))

    def _first(self) -> "av.VideoFrame":
        first = next(self._frames(), None)
        if first is None:
            raise BrokenVideoError(_reason("there is no frame in it", self._said))
        if first.pts is None:
            raise BrokenVideoError("its frames have no times, as those of raw streams; put them into MP4 or the like")
        return first

    def _time(self, frame: "av.VideoFrame") -> float:
        return max((frame.time or 0.0) - self.start, 0.0)

    def _length(self) -> float:
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        if self.container.duration:
            return self.container.duration / 1_000_000
        # Nobody has noted it: the last packet tells.
        self.rewind()
        last = max(
            (p.pts + (p.duration or 0) for p in self.container.demux(self.stream) if p.pts is not None), default=0
        )
        return max(float(last * self.stream.time_base) - self.start, 0.0)

    def _may_jump(self, position: float, moment: float) -> bool:
        """Goes to the last key frame before a moment, where that saves decoding."""
        import av

        base: Fraction = self.stream.time_base
        target = int((moment + self.start) / base)
        entries = self.stream.index_entries
        at = entries.search_timestamp(target) if len(entries) else -1
        # Index entries have decoding times, so the picture may come a little later than its entry says.
        ahead = float(entries[at].timestamp * base) - self.start - 1 if at >= 0 else moment - _LONGEST_DECODE
        if ahead <= position:
            return False
        try:
            self.container.seek(target - int(1 / base), stream=self.stream)
        except av.FFmpegError:  # A format in which nobody can jump.
            return False
        return True


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """A size scaled down so that its longer side is at most so long; never up.

    >>> fitted((1920, 1080), 320), fitted((100, 50), 320)
    ((320, 180), (100, 50))
    """
    scale = min(longest / max(size), 1)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def _container(path: str) -> "av.container.InputContainer":
    import av

    # A playlist that calls itself a video must not fetch anything from elsewhere.
    return av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _video_stream(container: "av.container.InputContainer") -> Any:
    import av

    cover = av.stream.Disposition.attached_pic  # A picture on a piece of music.
    for stream in container.streams.video:
        if not stream.disposition & cover and stream.codec_context is not None:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise BrokenVideoError(f"there is no video in it, only {kinds}")


def _reason(error: str, said: list[Any]) -> str:
    words = [f"{name}: {text.strip()}" for _, name, text in said if text.strip()]
    return f"{error} ({words[-1]})" if words else error
