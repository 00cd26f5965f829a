"""Map: results in every form of the elements, types, ids of messages, failures."""

import operator
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.typehints import List

from beam_patterns.testing import assert_conserved, run_pattern
from beam_patterns.transforms import BreakerError, ElementError, Filter, Map
from beam_patterns.transforms.base.batches import batch_type_of
from beam_patterns.transforms.queues import MESSAGE_ID, Message
from tests.running import Lists, Tables


class Order(NamedTuple):
    """A row."""

    number: int


SCHEMA = pa.schema([pa.field("number", pa.int64(), False)])
ORDERS = [Order(number) for number in range(50)]
FORMS = {
    "elements": lambda: beam.Create(ORDERS).with_output_types(Order),
    "lists": lambda: Lists(ORDERS, Order),
    "tables": lambda: Tables(ORDERS, Order, SCHEMA),
}
forms = pytest.mark.parametrize("form", FORMS)


def inverse(order: Order) -> float:
    """A function that fails for 0."""
    return 1 / order.number


@forms
def test_each_element_becomes_its_result_in_every_form(pipeline: Any, form: str) -> None:
    run = run_pattern(Map(inverse), FORMS[form](), pipeline)
    assert sorted(run["out"]) == sorted(1 / number for number in range(1, 50))
    (letter,) = run.dead
    assert (letter.step, letter.error_type, dict(letter.attributes)["readable"]) == (
        "Map",
        "ZeroDivisionError",
        b'{"number":0}',
    )
    counted = {name: run.counters["Map", name] for name in ("in", "out", "dropped", "dead")}
    assert counted == {"in": 50, "out": 49, "dropped": 0, "dead": 1}
    assert_conserved(run)


@forms
def test_without_a_handler_the_run_fails_with_the_element_in_the_message(form: str) -> None:
    with pytest.raises(
        ElementError, match=r"Map: the function inverse raised ZeroDivisionError: .*, on Order\(number=0\)"
    ):
        run_pattern(lambda orders, dead: orders | Map(inverse), FORMS[form]())


@forms
def test_a_breaker_stops_a_run_in_which_most_elements_fail(form: str) -> None:
    broken = Map(lambda order: order.missing).with_breaker(share=0.5, of_last=10)
    with pytest.raises(BreakerError, match="Map: 5 of the last 10 items failed the same way, with AttributeError"):
        run_pattern(broken, FORMS[form]())


@forms
def test_batches_become_lists_of_results(form: str) -> None:
    mapped = beam.Pipeline("FnApiRunner") | FORMS[form]() | Map(inverse)
    assert mapped.element_type is float
    assert batch_type_of(mapped) == (None if form == "elements" else List[float])


def unknown(order):  # type: ignore[no-untyped-def]
    """A function without annotations."""
    return str(order.number)


@pytest.mark.parametrize(
    ("function", "result_type"),
    [
        (inverse, float),
        (str, str),
        (lambda order: 1, int),
        (unknown, str),
        (operator.attrgetter("number"), beam.typehints.Any),
    ],
)
def test_the_type_is_that_of_the_annotation_or_what_beam_infers(function: Any, result_type: Any) -> None:
    mapped = beam.Pipeline("FnApiRunner") | beam.Create(ORDERS).with_output_types(Order) | Map(function)
    assert mapped.element_type == result_type


def test_a_pattern_downstream_accepts_the_results() -> None:
    assert run_pattern(Map(int) | Filter(lambda number: number > 1), ["1", "2", "3"])["out"] == [2, 3]


def greeting(message: Message) -> Message:
    """A new message for a message."""
    return Message(b"hello " + (message.value or b""), key=message.key)


@pytest.mark.parametrize("batched", [False, True])
def test_a_message_made_of_a_message_has_an_id_made_of_its_id(pipeline: Any, batched: bool) -> None:
    messages = [Message(b"%d" % n, key=b"k", source=("users", 0, n)) for n in range(3)]
    source = Lists(messages, Message) if batched else beam.Create(messages).with_output_types(Message)
    run = run_pattern(Map(greeting), source, pipeline)
    ids = {message.value: message.attribute(MESSAGE_ID) for message in run["out"]}
    expected = {b"hello %d" % n: (m.with_id().attribute(MESSAGE_ID) or b"") + b"/0" for n, m in enumerate(messages)}
    assert ids == expected


def test_other_results_of_a_message_stay_as_they_are() -> None:
    messages = Lists([Message(b"1", source=("users", 0, 0))], Message)
    assert run_pattern(Map(lambda message: message.value), messages)["out"] == [b"1"]


def test_labels_are_stable_words() -> None:
    p = beam.Pipeline("FnApiRunner")
    _ = p | beam.Create([1]) | "Parse" >> Map(str)
    labels = [label for label in p.applied_labels if "Parse" in label]
    assert sorted(labels) == ["Parse", "Parse/Translate", "Parse/Translate/Map"]


def test_windows_and_timestamps_pass_unchanged(pipeline: Any) -> None:
    def flow(numbers: Any, dead: Any) -> Any:
        stamped = numbers | beam.Map(lambda n: beam.window.TimestampedValue(n, n)).with_output_types(int)
        windowed = stamped | beam.WindowInto(beam.window.FixedWindows(10))
        return windowed | Map(str) | "Stamp" >> beam.Map(stamped_text)

    assert sorted(run_pattern(flow, [1, 25], pipeline)["out"]) == [("1", 1.0, 0.0), ("25", 25.0, 20.0)]


def stamped_text(text: str, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
    """A text with its time and the start of its window."""
    return text, float(timestamp), float(window.start)


def test_anything_but_a_function_raises_type_error_at_construction() -> None:
    with pytest.raises(TypeError, match=r"Map\(function\) must be a function of one element, not 3"):
        Map(3)  # type: ignore[arg-type]


def test_several_pcollections_raise_type_error_that_names_the_fix() -> None:
    p = beam.Pipeline("FnApiRunner")
    with pytest.raises(TypeError, match=r"Map takes one PCollection, not tuple; merge several with Merger\(\) first"):
        _ = (p | "A" >> beam.Create([1]), p | "B" >> beam.Create([2])) | Map(str)
