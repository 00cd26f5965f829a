"""The overhead of the thumbnail pipeline: 20 videos, compared with a bare PyAV loop in two processes.

    python -m bench.thumbnails [--videos 20] [--seconds 60] [--rounds 3]

The videos are copies of one that is made first. Each keeps a process busy for most of a second, and one video more or
less at the end does not decide the result. Without options the run takes about two minutes on two free cores.

Both contestants make the same pictures with the same function. Each of the bare processes gets half of the videos and
does nothing else; the pipeline has its work queue, done checks, dead letters and counters. They alternate in one run,
and their medians are compared. A time is from the first video's start to the last one's end: the processes have started
before, but the pipeline's workers still import PyAV with their first video. The time of the whole pipeline, including
its start, is printed too. The claim: at least 0.9 of the loop's throughput.
"""

import argparse
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import apache_beam as beam
from apache_beam.transforms.error_handling import ErrorHandler

from beam_patterns.pipelines.parts.files.find import FilePattern, FindFiles
from beam_patterns.pipelines.parts.video.folders import OutputFolders
from beam_patterns.pipelines.parts.video.thumbnails import Thumbnailer
from beam_patterns.pipelines.video_thumbnails import video_thumbnails
from beam_patterns.transforms import DeadLetter

WORKERS, FRAMES, SIZE = 2, 12, 320
#: Start and end of each video of the pipeline.
_SPANS: list[str] = []


class Timed(Thumbnailer):
    """The pipeline's own worker, which returns its start and end, on the clock that all processes share."""

    def __call__(self, video: str) -> str:
        started = time.monotonic()
        super().__call__(video)
        return f"{started} {time.monotonic()}"


def _keep(span: str) -> None:
    _SPANS.append(span)


def _fail(letter: DeadLetter) -> None:
    raise RuntimeError(letter.error_message)


def makespan(spans: Iterable[str]) -> float:
    """Seconds from the first start to the last end."""
    times = [tuple(map(float, span.split())) for span in spans]
    return max(ended for _, ended in times) - min(started for started, _ in times)


def loop(videos: Path, output: Path) -> tuple[float, float]:
    """The times of two bare processes: each imports this module, waits for the start signal, and works on its half."""
    started = time.monotonic()
    code = "import sys; from bench.thumbnails import bare; bare(sys.argv[1], sys.argv[2], sys.argv[3:])"
    names = sorted(map(str, videos.iterdir()))
    halves = [names[number::WORKERS] for number in range(WORKERS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", code, videos, output, *half], **pipes) for half in halves]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    spans = [line for process in processes for line in process.communicate()[0].splitlines()]
    return makespan(spans), time.monotonic() - started


def bare(videos: str, output: str, names: list[str]) -> None:
    """The main function of a bare process: prints the start and end of each video."""
    work = Timed(OutputFolders(videos, output), FRAMES, SIZE)
    __import__("av"), __import__("PIL.Image")
    print("ready", flush=True)
    sys.stdin.readline()
    for name in names:
        print(work(name))


def pipeline(videos: Path, output: Path) -> tuple[float, float]:
    """The times of the graph of pipelines/video_thumbnails.py on FnApiRunner."""
    started = time.monotonic()
    _SPANS.clear()
    work = Timed(OutputFolders(str(videos), str(output)), FRAMES, SIZE)
    with beam.Pipeline("FnApiRunner") as p:
        with ErrorHandler("Fail" >> beam.Map(_fail)) as dead:
            found = p | "Find" >> FindFiles(FilePattern.of(str(videos)), "videos")
            made = video_thumbnails(found, work, dead=dead, timeout=600, force=True)
        _ = made | "Time" >> beam.Map(_keep)
    return makespan(_SPANS), time.monotonic() - started


def main(arguments: list[str]) -> None:
    """Prints both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args(arguments)
    make = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "videos.py"))["make"]
    contestants = {"loop": loop, "pipeline": pipeline}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory(prefix="thumbnails-") as folder:
        videos = Path(folder, "videos")
        videos.mkdir()
        original = make(Path(folder, "original.mp4"), (1280, 720), o.seconds * 25, every=250)
        for number in range(o.videos):
            shutil.copyfile(original, videos / f"{number:02}.mp4")
        for number in range(o.rounds):
            for name, contestant in contestants.items():
                output = Path(folder, f"{name}-{number}")
                measured[name].append(contestant(videos, output))
                assert len(list(output.glob("*/sheet.jpg"))) == o.videos
    print(f"{o.videos} videos of {o.seconds} s, {FRAMES} frames each, on {WORKERS} processes, median of {o.rounds}")
    best = statistics.median(work for work, _ in measured["loop"])
    for name, times in measured.items():
        work, whole = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"  {name:<8} {work:6.2f} s, {best / work:.3f} of the loop's throughput; with its start {whole:.2f} s")


if __name__ == "__main__":
    from bench.thumbnails import main as imported  # Not from __main__, whose functions are pickled by value.

    imported(sys.argv[1:])
