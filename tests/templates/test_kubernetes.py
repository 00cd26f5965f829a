"""The manifests: against Kubernetes' own schemas, the operators' schemas, and the pipelines' own parsers."""

import importlib
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from apache_beam.options.pipeline_options import FlinkRunnerOptions
from apache_beam.version import __version__ as beam_version

from beam_patterns.pipelines.cli.metadata import options_class
from beam_patterns.transforms.queues import QueueUri
from beam_patterns.transforms.queues.kafka.settings import settings
from tests import ROOT
from tests.servers import need

FOLDER = ROOT / "templates" / "kubernetes"
SCHEMAS = ROOT.parent / "shared" / "crds"
DOCUMENTS = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] != "Kustomization"
]
#: Groups whose schemas are the operators'.
OPERATORS = ("kafka.strimzi.io", "keda.sh", "flink.apache.org")
CUSTOM = [each for each in DOCUMENTS if each["apiVersion"].startswith(OPERATORS)]
NATIVE = [each for each in DOCUMENTS if each not in CUSTOM]


def name_of(document: dict) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def one(kind: str) -> dict:
    """The document of a kind that there is one of."""
    (found,) = [each for each in DOCUMENTS if each["kind"] == kind]
    return found


def within(value: Any, key: str) -> Iterator[Any]:
    """All values under a key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from within(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from within(inner, key)


CONTAINERS = [each for document in DOCUMENTS for each in within(document, "containers")]
PIPELINES = [
    container
    for containers in CONTAINERS
    for container in containers
    if "beam_patterns.pipelines" in container.get("command", [])
]


@pytest.mark.parametrize("document", NATIVE, ids=name_of)
def test_what_is_kubernetes_own_is_valid(document: dict) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("document", CUSTOM, ids=name_of)
def test_what_is_an_operators_is_valid(document: dict) -> None:
    if not SCHEMAS.exists():
        pytest.skip(f"needs the operators' schemas in {SCHEMAS.name}/, a folder beside this project")
    errors = jsonschema.Draft7Validator(schema_of(document["apiVersion"], document["kind"])).iter_errors(document)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@cache
def schema_of(version: str, kind: str) -> dict:
    """The schema of a custom kind, which allows nothing that it does not name."""
    group, _, number = version.partition("/")
    for definition in definitions():
        if (definition["group"], definition["names"]["kind"]) == (group, kind):
            (found,) = [each for each in definition["versions"] if each["name"] == number and each["served"]]
            schema = strict(found["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
            return schema
    raise LookupError(kind)


@cache
def definitions() -> list[dict]:
    """All custom kinds; the C parser, as they are 1.7 MB."""
    return [yaml.load(path.read_text(), yaml.CSafeLoader)["spec"] for path in SCHEMAS.glob("*.yaml")]


def strict(schema: Any) -> Any:
    """As an API server with strict validation reads it."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        schema = {key: value for key, value in schema.items() if key not in ("type", "anyOf")}
    inner = {key: strict(value) for key, value in schema.items()}
    if isinstance(inner.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    return inner


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "Job", "apiVersion": "batch/v1", "spec": one("ScaledJob")["spec"]["jobTargetRef"]},
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "spec": one("FlinkDeployment")["spec"]["taskManager"]["podTemplate"]["spec"],
        },
    ],
    ids=["ScaledJob", "TaskManager"],
)
def test_pods_inside_operators_kinds_are_valid(spec: dict) -> None:
    document = {**spec, "metadata": {"name": "inner"}}
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_there_are_pipelines_to_check() -> None:
    assert [each["command"][-1] for each in PIPELINES] == ["telemetry_rollup", "work_queue"]


@pytest.mark.parametrize("container", PIPELINES, ids=lambda each: each["command"][-1])
def test_the_arguments_are_those_of_the_pipeline(container: dict) -> None:
    kind = options_class(importlib.import_module(f"beam_patterns.pipelines.{container['command'][-1]}"))
    options, others = kind.parse(container["args"])
    queues = [QueueUri.parse(argument.partition("=")[2]) for argument in container["args"] if "=kafka://" in argument]
    bootstrap = (
        f"{one('Kafka')['metadata']['name']}-kafka-bootstrap:{one('Kafka')['spec']['kafka']['listeners'][0]['port']}"
    )
    assert {queue.host for queue in queues} == {bootstrap}
    topics = {each["metadata"]["name"] for each in DOCUMENTS if each["kind"] == "KafkaTopic"}
    assert {queue.path.strip("/") for queue in queues} <= topics
    rights = {
        (acl["resource"]["type"], acl["resource"]["name"]): acl["operations"]
        for acl in one("KafkaUser")["spec"]["authorization"]["acls"]
    }
    for queue in queues:
        group = queue.params.get("group")
        assert ("Read" if group else "Write") in rights["topic", queue.path.strip("/")]
        assert not group or "Read" in rights["group", group]
    assert not others or options.runner == "PortableRunner"


def test_keda_asks_for_the_lag_of_what_the_run_reads() -> None:
    (container,) = one("ScaledJob")["spec"]["jobTargetRef"]["template"]["spec"]["containers"]
    (source,) = [argument for argument in container["args"] if argument.startswith("--input=")]
    uri = QueueUri.parse(source.partition("=")[2])
    (trigger,) = one("ScaledJob")["spec"]["triggers"]
    asked = trigger["metadata"]
    assert (asked["bootstrapServers"], asked["topic"], asked["consumerGroup"]) == (
        uri.host,
        uri.path.strip("/"),
        uri.params["group"],
    )
    assert trigger["authenticationRef"]["name"] == one("TriggerAuthentication")["metadata"]["name"]


def test_a_run_never_has_another_beside_it() -> None:
    """A bounded run reads from the group's position without joining the group."""
    assert one("ScaledJob")["spec"]["maxReplicaCount"] == 1


def test_secrets_are_those_that_the_operators_keep_and_are_mounted_not_written() -> None:
    made = {f"{one('Kafka')['metadata']['name']}-cluster-ca-cert", one("KafkaUser")["metadata"]["name"]}
    used = {name for document in DOCUMENTS for name in within(document, "secretName")}
    used |= {each["name"] for each in one("TriggerAuthentication")["spec"]["secretTargetRef"]}
    assert used == made
    assert [each for each in DOCUMENTS if each["kind"] == "Secret"] == []
    assert not re.search(r"(?i)(password|token)\s*[:=]", "".join(json.dumps(each) for each in DOCUMENTS))


def test_the_settings_file_is_one_that_queues_read_and_names_mounted_files(tmp_path: Path) -> None:
    (text,) = one("ConfigMap")["data"].values()
    file = tmp_path / "kafka.properties"
    file.write_text(text)
    said = settings(QueueUri.parse(f"kafka://host:1/topic?settings={file}"))
    assert said.pop("security.protocol") == "SSL"
    (container,) = one("ScaledJob")["spec"]["jobTargetRef"]["template"]["spec"]["containers"]
    volumes = {each["name"]: each for each in one("ScaledJob")["spec"]["jobTargetRef"]["template"]["spec"]["volumes"]}
    files = {
        f"{mount['mountPath']}/{item['path']}"
        for mount in container["volumeMounts"]
        for item in volumes[mount["name"]].get("secret", {}).get("items", [])
    }
    assert set(said.values()) == files


@pytest.mark.parametrize("container", [each for some in CONTAINERS for each in some], ids=lambda each: each["name"])
def test_every_container_is_limited_and_without_privileges(container: dict) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    if container["name"] != "flink-main-container":  # Its limits are those of the FlinkDeployment.
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_flink_its_job_server_and_the_workers_fit_each_other() -> None:
    spec = one("FlinkDeployment")["spec"]
    version = spec["flinkVersion"].removeprefix("v").replace("_", ".")
    assert version in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
    assert spec["image"].startswith(f"flink:{version}-")
    (server,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert server["image"] == f"apache/beam_flink{version}_job_server:{beam_version}"
    assert f"--flink-master={one('FlinkDeployment')['metadata']['name']}-rest:8081" in server["args"]
    (workers,) = spec["taskManager"]["podTemplate"]["spec"]["containers"]
    port = workers["ports"][0]["containerPort"]
    assert workers["args"] == [f"--service_port={port}"]
    (submit,) = [each for each in PIPELINES if each["name"] == "submit"]
    ports = {each["name"]: each["port"] for each in one("Service")["spec"]["ports"]}
    service = one("Service")["metadata"]["name"]
    assert {
        f"--environment_config=localhost:{port}",
        f"--job_endpoint={service}:{ports['jobs']}",
        f"--artifact_endpoint={service}:{ports['artifacts']}",
    } <= set(submit["args"])


def test_the_kustomization_has_every_manifest_and_fills_in_the_image() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(
        path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    )
    command = [need("kubectl"), "kustomize", FOLDER]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    made = list(yaml.safe_load_all(run.stdout))
    assert sorted(map(name_of, made)) == sorted(map(name_of, DOCUMENTS))
    (image,) = kustomization["images"]
    images = {
        each["image"]
        for document in made
        for some in within(document, "containers")
        for each in some
        if "image" in each
    }
    assert images == {f"{image['newName']}:{image['newTag']}", f"apache/beam_flink1.20_job_server:{beam_version}"}
    assert {each["metadata"].get("namespace", "beam-patterns") for each in made} == {"beam-patterns"}
