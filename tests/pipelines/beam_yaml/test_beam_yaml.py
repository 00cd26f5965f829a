"""The patterns in YAML pipelines: rows in, rows out, errors in an output of their own."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.yaml import yaml_provider
from apache_beam.yaml.yaml_transform import YamlTransform

from beam_patterns import transforms
from beam_patterns.pipelines import beam_yaml
from beam_patterns.pipelines.beam_yaml.listing import TRANSFORMS
from beam_patterns.pipelines.cli.main import main
from beam_patterns.testing.collect import Collect
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message, open_queue
from tests import ROOT

PROVIDERS = yaml_provider.merge_providers(yaml_provider.load_providers(str(ROOT / "templates" / "providers.yaml")))
ORDERS = """
  - type: Create
    name: Orders
    config:
      elements:
        - {id: 1, region: north, cents: 1099, tell: email}
        - {id: 2, region: south, cents: 500, tell: sms}
        - {id: 3, region: north, cents: 1, tell: fax}
        - {id: 3, region: , cents: 7, tell: fax}
"""
ALL = [(1, "north", 1099), (2, "south", 500), (3, "north", 1), (3, None, 7)]


def ran(steps: str) -> dict[str, list[Any]]:
    """The elements of each named output, after a shuffle, for which Beam encodes them."""
    p, seen = beam.Pipeline("FnApiRunner"), dict[str, Collect]()
    for name, output in (p | YamlTransform(f"type: composite\ntransforms:{steps}", PROVIDERS)).items():
        seen[name] = Collect()
        _ = output | f"Shuffle {name}" >> beam.Reshuffle() | f"See {name}" >> seen[name]
    p.run().wait_until_finish()
    return {name: sorted(map(_tuple, collect.elements), key=repr) for name, collect in seen.items()}


def _tuple(element: Any) -> Any:
    """A row without its class, an order without its last field, an error as its text and what failed."""
    if isinstance(element, DeadLetter):
        return element.error_message, json.loads(element.payload or b"")["id"]
    if isinstance(element, Message) or not hasattr(element, "_asdict"):
        return element
    return tuple(_tuple(value) for name, value in element._asdict().items() if name != "tell")


@pytest.mark.integration
def test_a_copier_a_merger_and_a_barrier_pass_everything_on() -> None:
    out = ran(f"""{ORDERS}
  - {{type: Copier, input: Orders, config: {{branches: [here, there]}}}}
  - {{type: Barrier, input: {{one: Copier.here, other: Copier.there}}}}
  - {{type: Merger, input: {{one: Barrier.one, other: Barrier.other}}}}
output: {{here: Copier.here, one: Barrier.one, merged: Merger}}""")
    assert out == {"here": ALL, "one": ALL, "merged": sorted(ALL * 2, key=repr)}


@pytest.mark.integration
def test_a_splitter_has_an_output_per_case_one_for_the_rest_and_one_for_errors() -> None:
    out = ran(f"""{ORDERS}
  - type: Splitter
    name: Split
    input: Orders
    config:
      cases: {{north: item.region.startsWith('n'), small: item.cents < 600}}
      error_handling: {{output: errors}}
  - type: Splitter
    name: Both
    input: Orders
    config: {{cases: {{cheap: item.cents < 10, third: item.id == 3}}, every_match: true}}
output: {{north: Split.north, small: Split.small, rest: Split.otherwise, errors: Split.errors, third: Both.third}}""")
    assert out == {
        "north": [(1, "north", 1099), (3, "north", 1)],
        "small": [(2, "south", 500)],
        "rest": [],
        "errors": [("No matching overloads found: (null_type).startsWith(string)", 3)],
        "third": [(3, "north", 1), (3, None, 7)],
    }


def test_a_filter_in_cel_keeps_what_meets_the_condition() -> None:
    out = ran(f"""{ORDERS}
  - type: Filter
    input: Orders
    config: {{language: cel, keep: item.region + item.tell == "northemail", error_handling: {{output: errors}}}}
output: {{kept: Filter, errors: Filter.errors}}""")
    assert out == {
        "kept": [(1, "north", 1099)],
        "errors": [("No matching overloads found: _+_(null_type, string)", 3)],
    }


def test_text_that_cel_would_cut_off_is_an_error_and_not_a_wrong_answer() -> None:
    out = ran("""
  - {type: Create, name: Rows, config: {elements: [{id: 1, name: "ann\\0x"}, {id: 2, name: ann}]}}
  - {type: Filter, input: Rows, config: {language: cel, keep: item.name == "ann", error_handling: {output: errors}}}
output: {kept: Filter, errors: Filter.errors}""")
    assert out == {
        "kept": [(2, "ann")],
        "errors": [("item contains the character U+0000, at which CEL would cut its text off", 1)],
    }


def test_a_sharder_places_keys_as_kafka_does() -> None:
    out = ran(f"""{ORDERS}
  - type: Sharder
    name: Shards
    input: Orders
    config: {{shards: 2, key: item.region, error_handling: {{output: errors}}}}
  - {{type: Sharder, name: Healthy, input: Orders, config: {{shards: 2, key: item.id, without: [0]}}}}
output: {{zero: Shards.shard_0, one: Shards.shard_1, errors: Shards.errors, well: Healthy.shard_1}}""")
    assert (out["zero"], out["one"]) == ([(1, "north", 1099), (3, "north", 1)], [(2, "south", 500)])
    assert [row for _, row in out["errors"]] == [3]
    assert out["well"] == ALL


@pytest.mark.integration
def test_sums_reductions_and_histograms_are_rows_of_key_and_result() -> None:
    out = ran(f"""{ORDERS}
  - type: Sum
    input: Orders
    config: {{key: {{where: item.region}}, value: {{cents: item.cents, orders: 1}}}}
  - type: Reduce
    input: Orders
    config: {{key: {{where: item.region, odd: item.id % 2 == 1}}, merge: {{id: "a.id > b.id ? a.id : b.id"}}}}
  - {{type: Histogram, name: Bins, input: Orders, config: {{key: {{all: "'x'"}}, value: item.cents, bins: [5, 500]}}}}
  - type: Histogram
    name: Quantiles
    input: Orders
    config: {{key: {{all: "'x'"}}, value: item.cents, quantiles: {{least: 0, most: 1}}}}
output: {{sum: Sum, reduce: Reduce, bins: Bins, quantiles: Quantiles}}""")
    assert out == {
        "sum": [("north", 1100, 2), ("south", 500, 1), (None, 7, 1)],
        "reduce": [("north", True, 3), ("south", False, 2), (None, True, 3)],
        "bins": [("x", 4, [1, 1, 2])],
        "quantiles": [("x", 4, 1.0, 1099.0)],
    }


@pytest.mark.integration
def test_items_that_cannot_be_added_merged_or_counted_are_errors() -> None:
    out = ran(f"""{ORDERS}
  - type: Sum
    input: Orders
    config: {{key: {{id: item.id}}, value: {{n: item.region}}, error_handling: {{output: errors}}}}
  - type: Reduce
    input: Orders
    config: {{key: {{id: item.id}}, merge: {{zip: a.zip}}, error_handling: {{output: errors}}}}
  - type: Histogram
    input: Orders
    config: {{key: {{id: item.id}}, value: item.zip, bins: [0, 1], error_handling: {{output: errors}}}}
output: {{sum: Sum, s: Sum.errors, r: Reduce.errors, h: Histogram.errors}}""")
    assert out.pop("sum") == []
    assert {name: {message for message, _ in errors} for name, errors in out.items()} == {
        "s": {"the value 'north' is not a number", "the value 'south' is not a number"},
        "r": {"the item has no field 'zip'"},
        "h": {'Key not found in map: "zip"'},
    }
    assert {name: [row for _, row in errors] for name, errors in out.items()} == {
        "s": [1, 3, 2],
        "r": [1, 2, 3, 3],
        "h": [1, 2, 3, 3],
    }


@pytest.mark.integration
def test_parts_are_joined_and_duplicates_dropped() -> None:
    out = ran(f"""{ORDERS}
  - {{type: Dedupe, input: Orders, config: {{key: "[item.id, item.tell]", within: 12h}}}}
  - {{type: Filter, input: Dedupe, config: {{language: cel, keep: item.id != 2}}}}
  - type: JoinParts
    name: Whole
    input: {{order: Dedupe, shipment: Filter}}
    config: {{key: item.id, error_handling: {{output: errors}}}}
  - {{type: JoinParts, name: Part, input: {{order: Dedupe, shipment: Filter}}, config: {{key: item.id, partial: true}}}}
output: {{joined: Whole, errors: Whole.errors, partial: Part}}""")
    assert [row[0] for row in out["joined"]] == [1, 3]
    assert out["joined"][0] == (1, (1, "north", 1099), (1, "north", 1099), [])
    assert out["errors"] == [("the item 2 lacks shipment at its deadline; present: order", 2)]
    assert out["partial"][1] == (2, (2, "south", 500), None, ["shipment"])


@pytest.mark.integration
def test_a_work_queue_runs_programs_and_functions(fork_server: None) -> None:
    out = ran(f"""{ORDERS}
  - {{type: WorkQueue, name: Say, input: Orders, config: {{command: [echo, -n, "{{id}} {{region}}"], workers: 1}}}}
  - type: WorkQueue
    name: Add
    input: Orders
    config:
      function: {__name__}.with_tax
      attempts: 1
      workers: 1
      schema: {{properties: {{id: {{type: integer}}, gross: {{type: number}}}}}}
      error_handling: {{output: errors}}
  - type: MultiWorker
    name: Both
    input: Orders
    config:
      stages: {{taxed: {{function: {__name__}.as_text}}, counted: {{command: [printf, "%s!", "{{item}}"]}}}}
      workers: 1
output: {{said: Say, added: Add, errors: Add.errors, both: Both}}""")
    assert [message.value for message in out["said"]] == [b"1 north", b"2 south", b"3 north", b"3 null"]
    assert out["added"] == [(1, 1307.81), (2, 595.0), (3, 1.19)]
    assert out["errors"] == [("'NoneType' object has no attribute 'upper'", 3)]
    assert [message.value for message in out["both"]] == [b"None!", b"north!", b"north!", b"south!"]


def with_tax(order: Any) -> Any:
    """For the test above."""
    order["region"].upper()
    return {"id": order["id"], "gross": round(order["cents"] * 1.19, 2)}


def as_text(order: Any) -> str:
    """For the test above."""
    return str(order["region"])


def put(uri: str, *values: bytes, key: bytes | None = None) -> None:
    writer = open_queue(uri).writer()
    writer.write([Message(value, key=key) for value in values])
    writer.flush()
    writer.close()


def written(uri: str) -> list[Message]:
    queue = open_queue(f"{uri}&group=test")
    return [message for split in queue.splits() for batch in queue.read(split) for message in batch]


def test_a_queue_is_read_written_and_committed_with_its_bytes_untouched(tmp_path: Path) -> None:
    topic = f"sqlite://{tmp_path}/queues.db?topic="
    put(f"{topic}orders", b'{"id":  1}', b'{"id": 2, "x": 0}', b"none", key=b"k")
    flow = f"""
  - {{type: ReadFromQueue, name: Orders, config: {{uri: "{topic}orders&group=g"}}}}
  - type: Splitter
    name: Split
    input: Orders
    config: {{cases: {{x: has(item.x)}}, error_handling: {{output: errors}}}}
  - {{type: WriteToQueue, name: With, input: Split.x, config: {{uri: "{topic}with"}}}}
  - {{type: WriteToQueue, name: Without, input: Split.otherwise, config: {{uri: "{topic}without"}}}}
  - {{type: WriteToQueue, name: Park, input: Split.errors, config: {{uri: "{topic}dead"}}}}
  - {{type: CommitOffsets, name: Commit, input: {{orders: Orders, a: With, b: Without, dead: Park}}}}
output: {{written: With, done: Commit}}"""
    assert len(ran(flow)["written"]) == 1
    assert [(m.value, m.key) for m in written(f"{topic}with")] == [(b'{"id": 2, "x": 0}', b"k")]
    assert [(m.value, m.key) for m in written(f"{topic}without")] == [(b'{"id":  1}', b"k")]
    (dead,) = written(f"{topic}dead")
    letter = DeadLetter.from_message(dead)
    assert (letter.payload, letter.key, letter.step) == (b"none", b"k", "Split")
    assert open_queue(f"{topic}orders&group=g").splits() == []


def test_messages_that_beam_has_flattened_are_messages_again(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n{"id":  2}\n')
    (tmp_path / "b.jsonl").write_text('{"id": 3}\n')
    out = ran(f"""
  - {{type: ReadFromQueue, name: A, config: {{uri: "{tmp_path}/a.jsonl"}}}}
  - {{type: ReadFromQueue, name: B, config: {{uri: "{tmp_path}/b.jsonl"}}}}
  - {{type: Filter, input: [A, B], config: {{language: cel, keep: item.id > 1}}}}
output: {{a: A, kept: Filter}}""")
    assert [m.value for m in out["kept"]] == [b'{"id":  2}', b'{"id": 3}']
    assert {m.source[1:] for m in out["kept"]} == {(0, 10), (0, 0)}


@pytest.mark.integration
def test_a_schema_makes_rows_of_messages_that_beams_own_transforms_know(tmp_path: Path) -> None:
    out = f"sqlite://{tmp_path}/queues.db?topic=out"
    (tmp_path / "orders.jsonl").write_text('{"id": 1, "cents": 10}\n{"id": 2}\n{"id": "3", "cents": 5}\n')
    ran(f"""
  - type: ReadFromQueue
    name: Orders
    config:
      uri: {tmp_path}/orders.jsonl
      schema: {{properties: {{id: {{type: integer}}, cents: {{type: integer}}}}, required: [id, cents]}}
      error_handling: {{output: errors}}
  - {{type: MapToFields, name: Double, input: Orders, config: {{language: python, fields: {{id: id, c: cents * 2}}}}}}
  - type: MapToFields
    name: Break
    input: Orders
    config: {{language: python, fields: {{id: id / 0}}, error_handling: {{output: errors}}}}
  - {{type: WriteToQueue, name: Out, input: Double, config: {{uri: "{out}", key: item.c}}}}
  - {{type: DeadLetters, name: Dead, input: [Orders.errors, Dead2]}}
  - {{type: DeadLetters, name: Dead2, input: Break.errors}}
  - {{type: WriteToQueue, name: Park, input: Dead, config: {{uri: "{tmp_path}/dead.jsonl"}}}}
  - {{type: CommitOffsets, name: Commit, input: {{orders: Orders, out: Out, dead: Park}}}}
output: {{out: Out, commit: Commit}}""")
    assert [(m.value, m.key) for m in written(out)] == [(b'{"id":1,"c":20}', b"20")]
    dead = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    assert sorted((letter["payload"], letter["step"]) for letter in dead) == [
        ('{"id": "3", "cents": 5}', "Orders"),
        ('{"id": 2}', "Orders"),
        ('{"id":1,"cents":10}', "Dead2"),
    ]


@pytest.mark.parametrize(
    ("transform", "sentence"),
    [
        (
            "{type: Filter, config: {language: cel, keep: item.n >}}",
            "syntax error in 'item.n >' at character 9: mismatched input '<EOF>'",
        ),
        (
            "{type: Filter, config: {language: cel, keep: item.n + 1}}",
            "'item.n + 1' is not a condition: its type is INT, not true or false",
        ),
        (
            "{type: Sum, config: {key: item.region, value: {n: 1}}}",
            "Sum: key must be a mapping such as {region: item.region}, not 'item.region'",
        ),
        (
            "{type: Sum, config: {key: {n: item.n}, value: {n: 1}}}",
            "Sum: the key already has a field 'n'; use another name",
        ),
        (
            "{type: WorkQueue, config: {command: [a], url: http://b}}",
            "WorkQueue needs one of command: [wc, -w], url: https://host/path, function: package.name",
        ),
        (
            "{type: WorkQueue, config: {function: os.system.no}}",
            "WorkQueue: function 'os.system.no' not found: No module named 'os.system'; 'os' is not a package",
        ),
        (
            "{type: Dedupe, config: {key: item.id, within: soon}}",
            "Dedupe: within: 'soon' is not a duration such as 90s, 15m or 12h",
        ),
        (
            "{type: Copier, config: {branches: here}}",
            "Copier: branches must be a list such as [uhd, mobile], not 'here'",
        ),
        (
            "{type: CommitOffsets}",
            "CommitOffsets needs ReadFromQueue and WriteToQueue by name, at least one of each: "
            "input: {orders: Orders, emails: Emails, dead: Park}",
        ),
        (
            "{type: Splitter, config: {cases: {a: item.n}, error_handling: {output: otherwise}}}",
            "error_handling: there is already an output 'otherwise'; use another name",
        ),
    ],
)
def test_wrong_use_is_a_sentence_before_anything_runs(transform: str, sentence: str) -> None:
    wrong = f"type: composite\ntransforms:{ORDERS}"
    wrong += f"  - {transform[:-1]}, name: X, input: Orders}}\noutput: {{x: X.otherwise}}"
    with pytest.raises(ValueError) as raised:
        _ = beam.Pipeline("FnApiRunner") | YamlTransform(wrong, PROVIDERS)
    assert str(raised.value).endswith(sentence)


def test_every_pattern_is_a_transform_for_yaml() -> None:
    patterns = {name for name in transforms.__all__ if hasattr(getattr(transforms, name), "expand")}
    # Beam has MapToFields and reads rows of files itself; Join with and without a key are two transforms.
    assert patterns - set(beam_yaml.__all__) == {"Join", "Map", "ReadRows"}


def test_no_name_is_taken_by_beam() -> None:
    """Beam would choose between two of a name by their neighbours in the pipeline."""
    assert set(TRANSFORMS) & set(yaml_provider.standard_providers()) == set()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_beam_can_explain_every_transform(name: str) -> None:
    (provider,) = PROVIDERS[name]
    fields = {field.name: field.description for field in provider.config_schema(name).fields}
    assert all(fields.values())
    assert provider.description(name)


def test_the_listing_is_printed_as_the_repository_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0
    assert capsys.readouterr().out == (ROOT / "templates" / "providers.yaml").read_text()
