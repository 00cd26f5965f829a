"""The image's steps, and what it hands to Dataflow: each template launched into an emulated bucket."""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam import coders
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.version import __version__ as beam_version
from gcp_storage_emulator.server import create_server

from tests.servers import free_port

from . import image

TEMPLATES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(image.ROOT, "templates").glob("*.json"))}
STREAMING = sorted(name for name, told in TEMPLATES.items() if told["streaming"])
JOBS = [*TEMPLATES, *(f"{name}-streaming" for name in STREAMING)]
IMAGE = "europe-west1-docker.pkg.dev/project/beam-patterns/template:1"
REMOTE = "^(gs|http|https|kafka|pubsub)://.+$"
#: What the metadata can't say: one of two must be given, or an example names a file.
MORE = {"work_queue": ["--command=python3 label.py {item}"], "word_count": ["--counts=kafka://broker:9092/counts"]}


def arguments(job: str) -> list[str]:
    """As Dataflow's launcher gives them: its own, and the required parameters of the template."""
    name, _, streaming = job.partition("-")
    required = [one["name"] for one in TEMPLATES[name]["parameters"] if one.get("regexes") == [REMOTE]]
    examples = [
        f"--{one['name']}={one['helpText'].partition('Example: ')[2]}"
        for one in TEMPLATES[name]["parameters"]
        if not one["isOptional"] and one["name"] not in required
    ]
    return [
        "--runner=DataflowRunner",
        "--project=project",
        "--region=europe-west1",
        f"--job_name={job.replace('_', '-')}",
        f"--template_location=gs://bucket/{job}/job_object",
        f"--staging_location=gs://bucket/{job}/staging",
        "--temp_location=gs://bucket/temp",
        f"--sdk_container_image={IMAGE}",
        *(f"--{parameter}=kafka://broker:9092/{parameter}?group=g" for parameter in required),
        *examples,
        *MORE.get(name, []),
        *(["--streaming=true"] if streaming else []),
    ]


class Bucket:
    """An emulated bucket, and what lies in it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = create_server("127.0.0.1", self.port, in_memory=True, default_bucket="bucket")

    def read(self, name: str) -> bytes:
        """One object."""
        return self._get(f"/{urllib.parse.quote(name, safe='')}?alt=media")

    def names(self) -> list[str]:
        """All objects."""
        return [one["name"] for one in json.loads(self._get("")).get("items", [])]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/storage/v1/b/bucket/o{path}", timeout=60) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's Python."""
    return image.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """An empty one."""
    bucket = Bucket()
    bucket.server.start()
    yield bucket
    bucket.server.stop()


def launched(bucket: Bucket, python: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Every job as Dataflow would get it, after a launch with this order of hashes."""
    (path,) = [one.split("=", 1)[1] for one in image.instructions("ENV") if one.startswith("FLEX_TEMPLATE_PYTHON_PY")]
    template = str(python.parents[2] / "template")
    jobs = {
        job: [path.replace("/template", template).replace("${PIPELINE}", job.partition("-")[0]), *arguments(job)]
        for job in JOBS
    }
    run = subprocess.run(
        [python, Path(__file__).with_name("launch.py")],
        input=json.dumps(jobs),
        env={**os.environ, "STORAGE_EMULATOR_HOST": bucket.url, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    *said, codes = run.stdout.splitlines()
    assert json.loads(codes) == dict.fromkeys(JOBS, 0), run.stdout + run.stderr
    assert said == ["submitted to DataflowRunner, which goes on without this process"] * len(JOBS)
    return {job: _job(bucket, job) for job in JOBS}


def _job(bucket: Bucket, job: str) -> dict[str, Any]:
    staged = max(name for name in bucket.names() if re.fullmatch(f"{job}/staging/.*/pipeline.pb", name))
    return {
        "description": json.loads(bucket.read(f"{job}/job_object")),
        "graph": beam_runner_api_pb2.Pipeline.FromString(bucket.read(staged)),
    }


@pytest.fixture(scope="module")
def jobs(bucket: Bucket, python: Path) -> dict[str, dict[str, Any]]:
    """What the launches have left for Dataflow to run."""
    return launched(bucket, python, 1)


def labels(graph: Any) -> list[str]:
    """The full name of every step; the root of all has none that matters."""
    steps = [one for name, one in graph.components.transforms.items() if name not in graph.root_transform_ids]
    return sorted(one.unique_name for one in steps)


def test_the_linter_has_nothing_to_say_about_the_dockerfile() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    run = subprocess.run([linter, image.DOCKERFILE], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "")


def test_the_images_are_pinned_and_beam_is_the_one_that_is_tested() -> None:
    pinned = dict(one.split("=") for one in image.instructions("ARG") if "=" in one)
    assert pinned["BEAM"] == beam_version
    assert f"apache-beam=={beam_version}" in image.REQUIREMENTS.read_text().splitlines()
    assert all(":${" in one or one == "wheels" for one in image.instructions("FROM"))
    assert re.fullmatch(r"\d{8}_RC\d\d", pinned["LAUNCHER"])


def test_every_requirement_is_one_version() -> None:
    lines = [line for line in image.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.\-]+==[\w.+!]+", line)] == []


@pytest.mark.integration
def test_the_image_has_the_project_and_needs_no_index(python: Path) -> None:
    code = "import beam_patterns.pipelines as p, apache_beam.runners.dataflow.internal.apiclient; print(p.__path__[0])"
    run = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert run.stdout.startswith(str(python.parents[1]))


@pytest.mark.integration
@pytest.mark.parametrize("job", JOBS)
def test_a_launch_returns_and_leaves_a_job_of_the_right_kind_in_our_image(job: str, jobs: dict[str, Any]) -> None:
    environment = jobs[job]["description"]["environment"]
    assert environment["version"]["job_type"] == ("FNAPI_STREAMING" if job.endswith("-streaming") else "FNAPI_BATCH")
    (pool,) = environment["workerPools"]
    assert [one["containerImage"] for one in pool["sdkHarnessContainerImages"]] == [IMAGE]
    payloads = [one.payload for one in jobs[job]["graph"].components.environments.values()]
    assert {beam_runner_api_pb2.DockerPayload.FromString(payload).container_image for payload in payloads} == {IMAGE}
    packages = {one["name"] for one in pool.get("packages", [])}
    assert packages <= {"pickled_main_session", "submission_environment_dependencies.txt"}


@pytest.mark.integration
@pytest.mark.parametrize("job", JOBS)
def test_every_step_has_a_label_of_its_own_that_no_line_number_or_address_is_part_of(
    job: str, jobs: dict[str, Any]
) -> None:
    found = labels(jobs[job]["graph"])
    assert len(found) == len(set(found))
    assert [label for label in found if re.search(r"lambda|\.py|0x|_\d+$", own(label))] == []


def own(label: str) -> str:
    """The label without what Beam's transforms call their insides."""
    return re.sub(r"/\w+\(<lambda at (core|util|combiners)\.py:\d+>\).*", "", label)


@pytest.mark.integration
@pytest.mark.parametrize("job", JOBS)
def test_what_is_grouped_has_keys_that_are_the_same_bytes_on_every_worker(job: str, jobs: dict[str, Any]) -> None:
    components = jobs[job]["graph"].components
    context = PipelineContext(components)
    for step in components.transforms.values():
        if step.spec.urn == "beam:transform:group_by_key:v1":
            (grouped,) = step.inputs.values()
            coder = context.coders.get_by_id(components.pcollections[grouped].coder_id)
            assert isinstance(coder, coders.TupleCoder)
            assert coder.key_coder().is_deterministic(), step.unique_name


@pytest.mark.integration
def test_another_launch_has_the_same_labels(bucket: Bucket, python: Path, jobs: dict[str, Any]) -> None:
    again = launched(bucket, python, 2)
    assert {job: labels(one["graph"]) for job, one in again.items()} == {
        job: labels(one["graph"]) for job, one in jobs.items()
    }
