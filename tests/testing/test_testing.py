"""beam_patterns.testing: what users test their own flows with."""

from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_patterns.testing import assert_conserved, chaos, run_pattern
from beam_patterns.testing.collect import Collect
from beam_patterns.transforms import Copier, Dedupe, Filter, Merger, Sharder, Splitter, Sum
from beam_patterns.transforms.balance import Balance
from beam_patterns.transforms.queues import CommitOffsets, Message, ReadFromQueue, WriteToQueue, open_queue
from tests.running import Lists


def is_even(number: int) -> bool:
    return number % 2 == 0


def share(number: int) -> bool:
    return 6 / number > 1


# --- run_pattern


def test_one_output_is_called_out() -> None:
    assert dict(run_pattern(Filter(is_even), [1, 2, 4])) == {"out": [2, 4]}


def test_outputs_with_names_keep_their_names() -> None:
    assert dict(run_pattern(Splitter(even=is_even), [1, 2, 4])) == {"even": [2, 4], "otherwise": [1]}
    assert dict(run_pattern(Copier("a", "b"), [1])) == {"a": [1], "b": [1]}


def test_outputs_with_numbers_keep_their_numbers() -> None:
    run = run_pattern(Sharder(2, key=str), range(10))
    assert list(run) == [0, 1]
    assert sorted(run[0] + run[1]) == list(range(10))


@pytest.mark.parametrize("items", [([1], [2, 3]), {"a": [1], "b": [2, 3]}])
def test_a_tuple_or_a_dict_of_lists_is_several_inputs(items: Any) -> None:
    assert sorted(run_pattern(Merger(), items)["out"]) == [1, 2, 3]


def test_a_source_may_stand_for_a_list() -> None:
    messages = [Message(b"%d" % n) for n in range(10)]
    assert run_pattern(Filter(bool), Lists(messages, Message))["out"] == messages


def test_what_fails_is_dead_and_counted() -> None:
    run = run_pattern(Filter(share), [1, 0, 9])
    assert (run["out"], [letter.error_type for letter in run.dead]) == ([1], ["ZeroDivisionError"])
    assert [run.counters["Filter", name] for name in ("in", "out", "dropped", "dead")] == [3, 1, 1, 1]


def test_an_output_without_elements_is_an_empty_list() -> None:
    assert run_pattern(Filter(is_even), [1])["out"] == []
    assert run_pattern(Filter(is_even), [])["out"] == []


def test_any_transform_can_be_run() -> None:
    assert run_pattern(beam.Map(str), [1])["out"] == ["1"]


def test_windows_are_gathered_too() -> None:
    stamped = beam.Create([1, 100]) | beam.Map(lambda n: beam.window.TimestampedValue(n, n))
    windowed = stamped | beam.WindowInto(beam.window.FixedWindows(10))
    assert sorted(run_pattern(Filter(bool), windowed)["out"]) == [1, 100]


# --- assert_conserved


def test_a_balance_that_closes_is_returned() -> None:
    balance = assert_conserved(run_pattern(Filter(share), [1, 0, 9]))
    assert [(s.label, s.came, s.out, s.dropped, s.dead) for s in balance.steps] == [("Filter", 3, 1, 1, 1)]


def test_a_balance_that_does_not_close_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_pattern(Filter(is_even), [1, 2])
    run.balance = Balance((run.balance.steps[0]._replace(out=0),))
    with pytest.raises(AssertionError, match="does not close at Filter: 1 of 2 that went in are missing"):
        assert_conserved(run)


def test_a_run_without_patterns_has_nothing_to_conserve() -> None:
    with pytest.raises(AssertionError, match="no pattern counted anything"):
        assert_conserved(run_pattern(beam.Map(str), [1]))


def test_a_result_is_checked_on_every_runner(pipeline: Any) -> None:
    p = pipeline()
    split = p | beam.Create(range(1, 101)) | Filter(is_even) | Splitter(small=share).with_every_match()
    _ = (split.small, split.otherwise) | Merger()
    result = p.run()
    result.wait_until_finish()
    came = {step.label: (step.came, step.out, step.dropped) for step in assert_conserved(result, p).steps}
    assert came == {"Filter": (100, 50, 50), "Splitter": (50, 50, 0), "Merger": (50, 50, 0)}


# --- chaos


def total(queue: str) -> Counter[bytes | None]:
    opened = open_queue(f"{queue}{'&' if '?' in queue else '?'}group=looks")
    return Counter(m.value for split in opened.splits() for batch in opened.read(split) for m in batch)


def test_elements_come_twice_and_in_another_order() -> None:
    seen = Collect()
    with chaos(beam.Pipeline("FnApiRunner")) as p:
        _ = p | beam.Create(range(100)) | seen
    assert set(seen.elements) == set(range(100))
    assert 120 < len(seen.elements) < 180
    assert seen.elements != sorted(seen.elements)


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    def elements(seed: int) -> list[int]:
        seen = Collect()
        with chaos(beam.Pipeline("FnApiRunner"), seed) as p:
            _ = p | beam.Create(range(20), reshuffle=False) | seen
        return seen.elements

    assert elements(1) == elements(1) != elements(2)


def test_side_effects_happen_again_while_results_do_not(tmp_path: Path) -> None:
    """A plain file that is appended to is what is found; the pipeline's own elements stay as they are."""
    seen = Collect()
    with chaos(beam.Pipeline("FnApiRunner"), once=["Create"]) as p:
        _ = p | beam.Create(["a"]) | beam.Map(note, str(tmp_path / "notes")) | seen
    assert seen.elements == ["a"]
    assert (tmp_path / "notes").read_text() == "aa"


def note(text: str, path: str) -> str:
    with Path(path).open("a") as file:
        file.write(text)
    return text


def test_a_flow_that_is_idempotent_passes() -> None:
    def result(make: Any) -> list[Any]:
        seen = Collect()
        with make() as p:
            items = p | beam.Create([("a", 1), ("b", 2), ("a", 3)]) | Dedupe(str)
            _ = items | Sum(key=first, value=second) | seen
        return sorted(seen.elements)

    plain = result(lambda: beam.Pipeline("FnApiRunner"))
    assert result(lambda: chaos(beam.Pipeline("FnApiRunner"))) == plain == [("a", 4), ("b", 2)]


def test_a_bundle_that_is_run_twice_is_counted_once() -> None:
    p = chaos(beam.Pipeline("FnApiRunner"), once=["Create"])
    _ = p | beam.Create(range(100)) | Filter(is_even) | Sum(key=is_even, value=int)
    balance = assert_conserved(p.run(), p)
    assert [(s.label, s.came, s.out, s.dropped) for s in balance.steps] == [("Filter", 100, 50, 50), ("Sum", 50, 50, 0)]


def first(pair: Any) -> Any:
    return pair[0]


def second(pair: Any) -> Any:
    return pair[1]


def test_the_balance_closes_in_chaos_and_queues_are_committed(tmp_path: Path) -> None:
    source, target = f"sqlite://{tmp_path}/q.db?topic=a&group=g", f"sqlite://{tmp_path}/q.db?topic=b"
    writer = open_queue(source).writer()
    writer.write([Message(b"%d" % n) for n in range(50)])
    writer.flush()
    p = chaos(beam.Pipeline("FnApiRunner"))
    read = p | ReadFromQueue(source)
    _ = read | Filter(bool) | WriteToQueue(target) | CommitOffsets(read)
    result = p.run()
    assert_conserved(result, p)
    assert open_queue(source).splits() == []
    assert set(total(target)) == {b"%d" % n for n in range(50)}
    assert max(total(target).values()) > 1


def test_chaos_comes_first_and_in_this_process() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1])
    with pytest.raises(ValueError, match="before you apply the first transform"):
        chaos(p)
    with pytest.raises(ValueError, match="needs a runner in this process, not PortableRunner"):
        chaos(beam.Pipeline(PortableRunner()))
