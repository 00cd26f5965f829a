"""Files about pipelines are what their options say, in Dataflow's own words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud.dataflow_v1beta3 import ContainerSpec, ParameterType, TemplateMetadata
from google.protobuf.json_format import MessageToDict, ParseDict

from beam_patterns.pipelines.cli.known import pipelines
from beam_patterns.pipelines.cli.main import main
from beam_patterns.pipelines.cli.metadata import metadata_of, table_of
from beam_patterns.pipelines.cli.templates import rendered
from tests import ROOT
from tests.pipelines.runtime.test_options import Example

TEMPLATES = sorted((ROOT / "templates").glob("*.json"))


def test_what_is_generated_is_as_make_templates_would_write_it() -> None:
    """If this fails: make templates."""
    files = rendered(list(pipelines()), ROOT)
    assert {path: (ROOT / path).read_text() for path in files} == files
    assert sorted(path for path in files if path.endswith(".json")) == [f"templates/{path.name}" for path in TEMPLATES]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_dataflow_understands_every_field(path: Path) -> None:
    told = json.loads(path.read_text())
    parsed = ParseDict(told, TemplateMetadata.pb(TemplateMetadata()))
    assert MessageToDict(parsed, always_print_fields_with_no_presence=False) == without_defaults(told)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_each_example_is_what_the_form_accepts(path: Path) -> None:
    for one in json.loads(path.read_text())["parameters"]:
        example = one["helpText"].partition("Example: ")[2]
        assert all(re.search(regex, example) for regex in one.get("regexes", [])), one


def without_defaults(told: dict) -> dict:
    """The message without what protocol buffers do not write: false is the same as nothing."""
    parameters = [{key: value for key, value in one.items() if value is not False} for one in told["parameters"]]
    return {key: value for key, value in {**told, "parameters": parameters}.items() if value is not False}


def test_an_option_becomes_a_parameter_of_its_type() -> None:
    told = metadata_of("example", Example)
    parameters = {one["name"]: one for one in told["parameters"]}
    assert list(parameters) == [
        "source",
        "streaming",
        "copies",
        "share",
        "mode",
        "name",
        "password",
        "within",
        "loud",
    ]
    assert parameters["source"] == {
        "name": "source",
        "label": "Source",
        "helpText": "Where they are. Example: kafka://broker:9092/topic?group=name or pubsub://project/name",
        "groupName": "Queues",
        "paramType": "TEXT",
        "isOptional": False,
        "regexes": ["^(gs|http|https|kafka|pubsub)://.+$"],
    }
    assert parameters["mode"]["enumOptions"] == [{"value": "fast", "label": "Fast"}, {"value": "safe", "label": "Safe"}]
    assert parameters["within"]["regexes"] == [r"^(\d+(\.\d+)?[smhd])?$"]
    assert {name: (one["paramType"], one.get("defaultValue")) for name, one in parameters.items()} == {
        "source": ("TEXT", None),
        "streaming": ("BOOLEAN", "false"),
        "copies": ("NUMBER", "1"),
        "share": ("NUMBER", "1.0"),
        "mode": ("ENUM", "safe"),
        "name": ("TEXT", "x"),
        "password": ("TEXT", None),
        "within": ("TEXT", "36h"),
        "loud": ("BOOLEAN", "false"),
    }


def test_what_a_template_fills_in_is_what_the_pipeline_takes() -> None:
    """Dataflow hands defaults over as text, if the user leaves them as they are."""
    told = metadata_of("example", Example)
    filled = [f"--{one['name']}={one['defaultValue']}" for one in told["parameters"] if "defaultValue" in one]
    options, _ = Example.parse(["--source=pubsub://project/orders", *filled])
    assert options == Example(source="pubsub://project/orders")


def test_totals_are_not_offered_the_mode_that_repeats() -> None:
    class Totals(Example):
        totals = True

    class Ends(Example):
        streams = False

    modes = ("streaming", "supportsAtLeastOnce", "supportsExactlyOnce", "defaultStreamingMode")
    told = [{key: metadata_of("x", kind).get(key) for key in modes} for kind in (Example, Totals, Ends)]
    assert [tuple(one.values()) for one in told] == [
        (True, True, True, "AT_LEAST_ONCE"),
        (True, False, True, None),
        (False, None, None, None),
    ]
    assert "streaming" not in [one["name"] for one in metadata_of("x", Ends)["parameters"]]


def test_a_pipeline_that_ends_refuses_to_stream() -> None:
    class Ends(Example):
        streams = False

    with pytest.raises(ValueError, match=r"^--streaming: this pipeline ends when everything has been read"):
        Ends.parse(["--source=memory://a", "--streaming"])


def test_the_table_shows_what_the_help_shows() -> None:
    lines = table_of(Example).splitlines()
    assert lines[2] == "| `--source` | Where they are. | required | `memory://things` |"
    assert "| `--within` | How long. | `36h` | `7d` |" in lines
    assert "hush" not in table_of(Example)


def test_the_container_spec_names_one_image_for_launcher_and_workers(tmp_path: Path) -> None:
    written = tmp_path / "spec.json"
    assert main(["template", "work_queue", "--image", "r.example/p/work_queue:1", "--output", str(written)]) == 0
    spec = ContainerSpec(ParseDict(json.loads(written.read_text()), ContainerSpec.pb(ContainerSpec())))
    assert (spec.image, spec.default_environment.sdk_container_image) == ("r.example/p/work_queue:1",) * 2
    assert (spec.sdk_info.language.name, spec.sdk_info.version) == ("PYTHON", "2.77.0")
    assert spec.metadata.default_streaming_mode == "AT_LEAST_ONCE"
    assert {one.name: one.param_type for one in spec.metadata.parameters}["force"] == ParameterType.BOOLEAN


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["template", "work_queu"], "unknown pipeline 'work_queu'; did you mean work_queue?"),
        (["template", "sales_report", "--image", "i"], "sales_report can't run on Dataflow: the tables and the page"),
        (["template", "work_queue"], "template needs --image: the image in the registry, by tag or digest"),
    ],
)
def test_a_template_that_can_not_be_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(sentence)
    assert len(shown.splitlines()) == 1


def test_the_command_in_the_documentation_gives_parameters_that_the_template_has() -> None:
    text = (ROOT / "docs" / "dataflow.md").read_text()
    (given,) = re.findall(r"--parameters '\^;\^(.*)'", text)
    parameters = {
        one["name"]: one for one in json.loads((ROOT / "templates" / "work_queue.json").read_text())["parameters"]
    }
    values = dict(pair.split("=", 1) for pair in given.split(";"))
    assert {name for name, one in parameters.items() if not one["isOptional"]} <= set(values) <= set(parameters)
    for name, value in values.items():
        assert all(re.search(regex, value) for regex in parameters[name].get("regexes", []))


def test_make_templates_runs_what_is_tested_here() -> None:
    dry = subprocess.run(["make", "--dry-run", "templates"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m beam_patterns.pipelines.cli.templates" in dry.stdout
    assert sys.modules["beam_patterns.pipelines.cli.templates"]
