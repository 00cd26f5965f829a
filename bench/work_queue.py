"""WorkQueue compared with concurrent.futures.ProcessPoolExecutor and the ideal.

    python -m bench.work_queue [--rounds 1]

400 items of 50 ms and 400 of 500 ms of CPU work on two processes; a round takes about six minutes. Each item returns
its start and its end. The time of a contestant is from the first start to the last end, so its pool has started before.
The ideal is two bare processes with half of the items each, in the same run. The claims: at most 1.10 of the ideal with
50 ms, and 1.05 with 500 ms.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import apache_beam as beam

from beam_patterns.transforms import WorkQueue

WORKERS = 2
#: Start and end of each item of the pipeline.
_SPANS: list[tuple[float, float]] = []


def spin(steps: int) -> tuple[float, float]:
    """Does CPU work; returns its start and end, on the clock that all processes share."""
    started, total = time.monotonic(), 0
    for number in range(steps):
        total += number * number
    return started, time.monotonic()


def makespan(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds from the first start to the last end."""
    spans = list(spans)
    return max(ended for _, ended in spans) - min(started for started, _ in spans)


def ideal(items: int, steps: int) -> float:
    """The time of two bare processes: each imports this module, waits for the start signal, and works on its half."""
    code = "import sys; from bench.work_queue import bare; bare(int(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(items // WORKERS), str(steps)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(WORKERS)]  # type: ignore[call-overload]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return max(float(process.communicate()[0]) for process in processes)


def bare(items: int, steps: int) -> None:
    """The main function of a bare process: prints its time."""
    print("ready", flush=True)
    sys.stdin.readline()
    print(makespan(spin(steps) for _ in range(items)))


def executor(items: int, steps: int) -> float:
    """The time of concurrent.futures."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(spin, [1] * 4 * WORKERS))
        return makespan(pool.map(spin, [steps] * items))


def keep(span: tuple[float, float]) -> None:
    """Keeps the times of an item: FnApiRunner runs in this process."""
    _SPANS.append(span)


def work_queue(items: int, steps: int) -> float:
    """The time of a pipeline on FnApiRunner."""
    _SPANS.clear()
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([steps] * items) | WorkQueue(spin).with_workers(WORKERS) | beam.Map(keep)
    return makespan(_SPANS)


def steps_for(seconds: float) -> int:
    """The number of steps that take this time on a free core."""
    fastest = min(ended - started for started, ended in (spin(1_000_000) for _ in range(5)))
    return int(1_000_000 * seconds / fastest)


def main(arguments: list[str]) -> None:
    """Prints the times and their ratios to the ideal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args(arguments).rounds
    contestants: dict[str, Callable[[int, int], float]] = {
        "ideal": ideal,
        "executor": executor,
        "WorkQueue": work_queue,
    }
    for items, seconds in ((400, 0.05), (400, 0.5)):
        steps = steps_for(seconds)
        measured: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, contestant in contestants.items():
                measured[name].append(contestant(items, steps))
        best = statistics.median(measured["ideal"])
        print(f"{items} items of {seconds * 1000:.0f} ms on {WORKERS} processes")
        for name, times in measured.items():
            print(f"  {name:<9} {statistics.median(times):6.2f} s  {statistics.median(times) / best:.3f} of the ideal")


if __name__ == "__main__":
    from bench.work_queue import main as imported  # Not from __main__, whose functions are pickled by value.

    imported(sys.argv[1:])
