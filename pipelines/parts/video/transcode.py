"""A video in another size, playable everywhere: H.264 and AAC in MP4."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from .rungs import Rung
from .source import Source

__all__ = ["transcode"]

_TURNS = {90: ["cclock"], 180: ["clock", "clock"], 270: ["clock"]}
_RATE, _MOST_RATE = Fraction(25), 240
_GAP = 0.2


def transcode(source: Source, path: str, rung: Rung) -> None:
    """Writes a rendition; what is wrong with the source, ffmpeg's reason included, raises."""
    import av

    source.rewind()
    with av.open(path, "w", options={"movflags": "faststart"}) as output:
        picture = _Picture(source, output, rung)
        handlers: dict[int, Callable[[Any], Iterator[Any]]] = {source.stream.index: picture}
        for sound in source.sounds:
            handlers[sound.index] = _copied(source, output, sound) or _encoded(source, output, sound, rung)
        for packet in source.container.demux(source.stream, *source.sounds):
            for made in handlers[packet.stream.index](packet):
                output.mux(made)
    source.check_ended(picture.seconds)


class _Picture:
    """Scales, turns upright and encodes."""

    def __init__(self, source: Source, output: Any, rung: Rung) -> None:
        width, height = rung.size(source.width, source.height)
        rate = source.stream.guessed_rate or 0
        self._stream = output.add_stream("libx264", rate=rate if 1 <= rate <= _MOST_RATE else _RATE)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"preset": "veryfast", "crf": str(rung.quality)}
        self._stream.codec_context.time_base = source.stream.time_base
        self._source, self._stored = source, (height, width) if source.turned else (width, height)
        self._turn, self._last = _turner(source, self._stored), -1

    @property
    def seconds(self) -> float:
        """How far the picture goes."""
        return max(float(self._last * self._source.stream.time_base), 0.0)

    def __call__(self, packet: Any) -> Iterator[Any]:
        for frame in self._source.decoded(packet):
            pts = -1 if frame.pts is None else frame.pts - self._source.ticks(frame.time_base)
            if pts <= self._last:  # Before the beginning, or twice at one moment: a player would not show it.
                continue
            self._last = pts
            scaled = self._turn(frame.reformat(*self._stored, format="yuv420p", interpolation="BICUBIC"))
            scaled.pts, scaled.time_base, scaled.duration = pts, frame.time_base, frame.duration
            scaled.pict_type = 0  # Where key frames go, the encoder decides anew.
            yield from self._stream.encode(scaled)
        if _is_end(packet):
            yield from self._stream.encode(None)


def _turner(source: Source, size: tuple[int, int]) -> Callable[[Any], Any]:
    from av.filter import Graph

    turns = _TURNS.get(source.rotation, [])
    if not turns:
        return lambda frame: frame
    graph = Graph()
    first = graph.add_buffer(width=size[0], height=size[1], format="yuv420p", time_base=source.stream.time_base)
    steps = [graph.add("transpose", direction) for direction in turns]
    graph.link_nodes(first, *steps, graph.add("buffersink")).configure()

    def turn(frame: Any) -> Any:
        graph.push(frame)
        return graph.pull()

    return turn


def _copied(source: Source, output: Any, sound: Any) -> Callable[[Any], Iterator[Any]] | None:
    """AAC as it is; None where it lacks what MP4 needs to hold it."""
    if sound.codec_context.name != "aac" or not sound.codec_context.extradata:
        return None
    stream = output.add_stream_from_template(sound)

    def handle(packet: Any) -> Iterator[Any]:
        if _is_end(packet):
            return
        shift, dts = source.ticks(packet.time_base), packet.pts if packet.dts is None else packet.dts
        packet.pts = (dts if packet.pts is None else packet.pts) - shift
        packet.dts = dts - shift
        packet.stream = stream
        yield packet

    return handle


def _encoded(source: Source, output: Any, sound: Any, rung: Rung) -> Callable[[Any], Iterator[Any]]:
    """Any other sound as AAC, in stereo or mono."""
    from av import AudioResampler

    layout = "mono" if sound.codec_context.channels == 1 else "stereo"
    rate = sound.codec_context.sample_rate if sound.codec_context.sample_rate in (44_100, 48_000) else 48_000
    stream = output.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = rung.sound
    resampler, follow = AudioResampler("fltp", layout, rate), _clock(source)

    def handle(packet: Any) -> Iterator[Any]:
        for frame in source.decoded(packet):
            follow(frame)
            for resampled in resampler.resample(frame):
                yield from stream.encode(resampled)
        if _is_end(packet):
            for resampled in resampler.resample(None):
                yield from stream.encode(resampled)
            yield from stream.encode(None)

    return handle


def _is_end(packet: Any) -> bool:
    """ffmpeg says at the end: give me what you still hold."""
    return packet.size == 0 and packet.dts is None


def _clock(source: Source) -> Callable[[Any], None]:
    """Counts samples: some containers note the times of sound so roughly that they overlap. Real gaps stay."""
    heard: int | None = None

    def follow(frame: Any) -> None:
        nonlocal heard
        noted = heard or 0
        if frame.pts is not None:
            noted = round((frame.pts - source.ticks(frame.time_base)) * frame.time_base * frame.sample_rate)
        if heard is None or noted > heard + frame.sample_rate * _GAP:
            heard = noted
        frame.pts, frame.time_base = heard, Fraction(1, frame.sample_rate)
        heard += frame.samples

    return follow
