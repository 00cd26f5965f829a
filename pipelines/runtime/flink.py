"""What a run on Flink needs: the options of its job server, and for a stream those without which it stalls."""

import argparse

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

__all__ = ["FlinkOptions", "make_stream_live"]

#: Milliseconds. What is lost with a worker is done again from the last checkpoint, and commits wait for the next one.
_CHECKPOINTS = 10_000
#: Milliseconds that a bundle may take, for which a checkpoint waits; other versions' default is ten times that.
_BUNDLE = 1_000
#: Seconds for a job server to answer.
_PATIENCE = 20


class FlinkOptions(PipelineOptions):
    """Options of Beam's job server for Flink which Beam's Python does not declare: else they could not be given."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--checkpointing_interval", type=int, help="Milliseconds from checkpoint to checkpoint.")
        parser.add_argument(
            "--finish_bundle_before_checkpointing", action="store_true", default=None, help="Checkpoints cut no bundle."
        )
        parser.add_argument("--max_bundle_time_mills", type=int, help="Milliseconds that a bundle may take.")
        parser.add_argument("--savepoint_path", help="The savepoint that a stream starts from.")
        parser.add_argument(
            "--allow_non_restored_state", action="store_true", default=None, help="Drop state that no step claims."
        )


def make_stream_live(runner: str, options: PipelineOptions) -> str | None:
    """Sets what a stream on Flink can't live without, where it was not given, and says so; None on other runners.

    A checkpoint that cuts a bundle would keep back what the bundle made; without checkpoints nothing is committed and
    nothing can be taken up again.
    """
    if not _is_flink(runner, options):
        return None
    flink = options.view_as(FlinkOptions)
    given = flink.checkpointing_interval
    if given is not None and given <= 0:
        raise ValueError(
            f"--checkpointing_interval: {given} means no checkpoints, without which a stream on Flink commits nothing "
            f"and begins anew after every fault; give milliseconds, for instance {_CHECKPOINTS}"
        )
    flink.finish_bundle_before_checkpointing = True
    flink.checkpointing_interval = given or _CHECKPOINTS
    flink.max_bundle_time_mills = flink.max_bundle_time_mills or _BUNDLE
    return (
        "a stream on Flink: finish_bundle_before_checkpointing, "
        f"checkpointing_interval={flink.checkpointing_interval}, max_bundle_time_mills={flink.max_bundle_time_mills}"
    )


def _is_flink(runner: str, options: PipelineOptions) -> bool:
    """By its name, or by what the job server that was named knows."""
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
            raise ValueError(f"--job_endpoint: no job server answers at {endpoint}; is it running?") from None
    return any(each.name == "finish_bundle_before_checkpointing" for each in known)
