"""What a stream on Flink can't live without is set, and said."""

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_patterns.pipelines.runtime import flink
from beam_patterns.pipelines.runtime.flink import FlinkOptions, make_stream_live
from tests.pipelines.runtime import toy
from tests.servers import free_port


def options(*flags: str) -> PipelineOptions:
    """As the launcher makes them."""
    return PipelineOptions(list(flags))


def test_a_stream_on_flink_gets_checkpoints_that_cut_no_bundle_and_short_bundles() -> None:
    given = options()
    assert make_stream_live("FlinkRunner", given) == (
        "a stream on Flink: finish_bundle_before_checkpointing, "
        "checkpointing_interval=10000, max_bundle_time_mills=1000"
    )
    made = given.view_as(FlinkOptions)
    assert made.finish_bundle_before_checkpointing is True
    assert (made.checkpointing_interval, made.max_bundle_time_mills) == (10_000, 1_000)


def test_what_is_given_stays() -> None:
    given = options("--checkpointing_interval=2000", "--max_bundle_time_mills=500")
    assert make_stream_live("flinkrunner", given) == (
        "a stream on Flink: finish_bundle_before_checkpointing, checkpointing_interval=2000, max_bundle_time_mills=500"
    )


def test_a_stream_without_checkpoints_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--checkpointing_interval: 0 turns checkpoints off, .*; give milliseconds"):
        make_stream_live("FlinkRunner", options("--checkpointing_interval=0"))


def test_other_runners_are_left_alone() -> None:
    given = options()
    assert make_stream_live("PrismRunner", given) is None
    assert given.view_as(FlinkOptions).checkpointing_interval is None


@pytest.mark.integration
def test_a_job_server_that_is_not_flinks_is_left_alone(prism_endpoint: str) -> None:
    assert make_stream_live("PortableRunner", options(f"--job_endpoint={prism_endpoint}")) is None


@pytest.mark.integration
def test_a_job_server_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flink, "_PATIENCE", 1)
    endpoint = f"localhost:{free_port()}"
    flags = [*toy.arguments(runner="PortableRunner"), "--streaming", f"--job_endpoint={endpoint}"]
    assert toy.run(flags) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"--job_endpoint: no answer from a job server at {endpoint}; is it running?"
    ]


def test_flinks_own_options_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--checkpointing_interval=2000", "--savepoint_path=/data/savepoints/1", "--allow_non_restored_state"]
    assert toy.run([*toy.arguments(), *flags]) == 0, capsys.readouterr().err
