"""Renditions: a video in another size, as H.264 and AAC in MP4, which every player can play."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from .source import Source

__all__ = ["FHD", "MOBILE", "RENDITIONS", "UHD", "Rendition"]

_TURNS = {90: ["cclock"], 180: ["clock", "clock"], 270: ["clock"]}
_DEFAULT_RATE, _MAX_RATE = Fraction(25), 240
_GAP_SECONDS = 0.2


class Rendition(NamedTuple):
    """A size and a quality. Lines are those of the shorter side, so upright videos are treated alike.

    >>> UHD.is_needed({"width": 1920, "height": 1080}), FHD.is_needed({"width": 1280, "height": 720})
    (False, True)
    >>> FHD.size(3840, 2160), FHD.size(720, 1280), MOBILE.size(1920, 1080), MOBILE.size(161, 121)
    ((1920, 1080), (720, 1280), (854, 480), (160, 120))
    """

    file: str
    lines: int
    """The maximum: a video is never enlarged."""
    above: int
    """For videos with more lines than this: the next smaller rendition shows all that there is of others."""
    quality: int
    """x264's constant rate factor; smaller is better."""
    audio_rate: int
    """Bits per second, for audio that has to be encoded again."""

    def is_needed(self, video: Mapping[str, Any]) -> bool:
        """Whether this rendition shows more of the video than the next smaller one."""
        return min(video["width"], video["height"]) > self.above

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The width and height for a video: in its proportions, and even as H.264 requires."""
        scale = min(self.lines / min(width, height), 1)
        return _even(scale, width), _even(scale, height)

    def render(self, source: Source, path: str) -> None:
        """Writes the file; raises an error with ffmpeg's reason for a broken source."""
        import av

        source.rewind()
        with av.open(path, "w", options={"movflags": "faststart"}) as output:
            video = _VideoEncoder(source, output, self)
            handlers: dict[int, Callable[[Any], Iterator[Any]]] = {source.stream.index: video}
            for audio in source.audio:
                handlers[audio.index] = _copied(source, output, audio) or _encoded(source, output, audio, self)
            for packet in source.container.demux(source.stream, *source.audio):
                for encoded in handlers[packet.stream.index](packet):
                    output.mux(encoded)
        source.check_complete(video.seconds)


def _even(scale: float, length: int) -> int:
    """The nearest even number that is not larger than the length; at least 2."""
    return max(min(round(length * scale / 2) * 2, length // 2 * 2), 2)


MOBILE = Rendition("mobile.mp4", 480, 0, 26, 96_000)
FHD = Rendition("1080p.mp4", 1080, MOBILE.lines, 22, 160_000)
UHD = Rendition("2160p.mp4", 2160, FHD.lines, 20, 192_000)
RENDITIONS = (UHD, FHD, MOBILE)


class _VideoEncoder:
    """Scales, turns upright and encodes the frames in a packet."""

    def __init__(self, source: Source, output: Any, rendition: Rendition) -> None:
        width, height = rendition.size(source.width, source.height)
        rate = source.stream.guessed_rate or 0
        self._stream = output.add_stream("libx264", rate=rate if 1 <= rate <= _MAX_RATE else _DEFAULT_RATE)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"preset": "veryfast", "crf": str(rendition.quality)}
        self._stream.codec_context.time_base = source.stream.time_base
        self._source, self._stored = source, (height, width) if source.is_turned else (width, height)
        self._turn, self._last = _turner(source, self._stored), -1

    @property
    def seconds(self) -> float:
        """The time of the last frame."""
        return max(float(self._last * self._source.stream.time_base), 0.0)

    def __call__(self, packet: Any) -> Iterator[Any]:
        for frame in self._source.decoded(packet):
            pts = -1 if frame.pts is None else frame.pts - self._source.start_in(frame.time_base)
            if pts <= self._last:  # Before the start, or a second frame at one time: a player would not show it.
                continue
            self._last = pts
            scaled = self._turn(frame.reformat(*self._stored, format="yuv420p", interpolation="BICUBIC"))
            scaled.pts, scaled.time_base, scaled.duration = pts, frame.time_base, frame.duration
            scaled.pict_type = 0  # The encoder chooses the key frames.
            yield from self._stream.encode(scaled)
        if _is_end(packet):
            yield from self._stream.encode(None)


def _turner(source: Source, size: tuple[int, int]) -> Callable[[Any], Any]:
    from av import VideoFormat
    from av.filter import Graph

    turns = _TURNS.get(source.rotation, [])
    if not turns:
        return lambda frame: frame
    graph = Graph()
    first = graph.add_buffer(None, *size, VideoFormat("yuv420p"), time_base=source.stream.time_base)
    steps = [graph.add("transpose", direction) for direction in turns]
    graph.link_nodes(first, *steps, graph.add("buffersink")).configure()

    def turn(frame: Any) -> Any:
        graph.push(frame)
        return graph.pull()

    return turn


def _copied(source: Source, output: Any, audio: Any) -> Callable[[Any], Iterator[Any]] | None:
    """Copies AAC unchanged; None for other codecs, and for AAC without the extra data that MP4 needs."""
    if audio.codec_context.name != "aac" or not audio.codec_context.extradata:
        return None
    stream = output.add_stream_from_template(audio)

    def handle(packet: Any) -> Iterator[Any]:
        if _is_end(packet):
            return
        start, dts = source.start_in(packet.time_base), packet.pts if packet.dts is None else packet.dts
        packet.pts = (dts if packet.pts is None else packet.pts) - start
        packet.dts = dts - start
        packet.stream = stream
        yield packet

    return handle


def _encoded(source: Source, output: Any, audio: Any, rendition: Rendition) -> Callable[[Any], Iterator[Any]]:
    """Encodes other audio as AAC, in stereo or mono."""
    from av import AudioResampler

    layout = "mono" if audio.codec_context.channels == 1 else "stereo"
    rate = audio.codec_context.sample_rate if audio.codec_context.sample_rate in (44_100, 48_000) else 48_000
    stream = output.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = rendition.audio_rate
    resampler, set_time = AudioResampler("fltp", layout, rate), _audio_clock(source)

    def handle(packet: Any) -> Iterator[Any]:
        for frame in source.decoded(packet):
            set_time(frame)
            for resampled in resampler.resample(frame):
                yield from stream.encode(resampled)
        if _is_end(packet):
            for resampled in resampler.resample(None):
                yield from stream.encode(resampled)
            yield from stream.encode(None)

    return handle


def _is_end(packet: Any) -> bool:
    """Whether ffmpeg sent the empty packet that flushes decoders and encoders at the end."""
    return packet.size == 0 and packet.dts is None


def _audio_clock(source: Source) -> Callable[[Any], None]:
    """Sets the times of frames by counting samples: some containers round them so that frames overlap. Gaps stay."""
    next_sample: int | None = None

    def set_time(frame: Any) -> None:
        nonlocal next_sample
        stored = next_sample or 0
        if frame.pts is not None:
            stored = round((frame.pts - source.start_in(frame.time_base)) * frame.time_base * frame.sample_rate)
        if next_sample is None or stored > next_sample + frame.sample_rate * _GAP_SECONDS:
            next_sample = stored
        frame.pts, frame.time_base = next_sample, Fraction(1, frame.sample_rate)
        next_sample += frame.samples

    return set_time
