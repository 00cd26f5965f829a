"""Options of a run on Flink: those of its job server, and those without which a stream stalls."""

import argparse

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

__all__ = ["FlinkOptions", "make_stream_live"]

#: Milliseconds between checkpoints. After a failure work is repeated from the last one, and commits wait for the next.
_CHECKPOINTS = 10_000
#: Milliseconds that a bundle may take, for which a checkpoint waits; the default of other versions is ten times that.
_BUNDLE = 1_000
#: Seconds to wait for a job server's answer.
_PATIENCE = 20


class FlinkOptions(PipelineOptions):
    """Options of Beam's job server for Flink that Beam's Python SDK does not declare, so that they can be given."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--checkpointing_interval", type=int, help="Milliseconds between checkpoints.")
        parser.add_argument(
            "--finish_bundle_before_checkpointing",
            action="store_true",
            default=None,
            help="Let a checkpoint wait for bundles.",
        )
        parser.add_argument("--max_bundle_time_mills", type=int, help="Milliseconds that a bundle may take.")
        parser.add_argument("--savepoint_path", help="The savepoint that a stream starts from.")
        parser.add_argument(
            "--allow_non_restored_state", action="store_true", default=None, help="Drop state that belongs to no step."
        )


def make_stream_live(runner: str, options: PipelineOptions) -> str | None:
    """Sets the options without which a stream on Flink stalls, if they were not given; returns a note about them.

    A checkpoint in the middle of a bundle would hold back the bundle's output; without checkpoints nothing is committed
    and a job can't resume. Returns None on other runners.
    """
    if not _is_flink(runner, options):
        return None
    flink = options.view_as(FlinkOptions)
    given = flink.checkpointing_interval
    if given is not None and given <= 0:
        raise ValueError(
            f"--checkpointing_interval: {given} turns checkpoints off, without which a stream on Flink commits nothing "
            f"and starts over after every failure; give milliseconds, for instance {_CHECKPOINTS}"
        )
    flink.finish_bundle_before_checkpointing = True
    flink.checkpointing_interval = given or _CHECKPOINTS
    flink.max_bundle_time_mills = flink.max_bundle_time_mills or _BUNDLE
    return (
        "a stream on Flink: finish_bundle_before_checkpointing, "
        f"checkpointing_interval={flink.checkpointing_interval}, max_bundle_time_mills={flink.max_bundle_time_mills}"
    )


def _is_flink(runner: str, options: PipelineOptions) -> bool:
    """Whether the runner is Flink, by its name or by the options that its job server knows."""
    endpoint = options.view_as(PortableOptions).job_endpoint
    if runner.lower() != "portablerunner" or not endpoint:
        return runner.lower() == "flinkrunner"
    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            known = stub.DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=_PATIENCE, wait_for_ready=True
            ).options
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return False
            raise ValueError(f"--job_endpoint: no answer from a job server at {endpoint}; is it running?") from None
    return any(each.name == "finish_bundle_before_checkpointing" for each in known)
