"""Connections to Pub/Sub with Google's client: the emulator's address, retries, and errors as sentences."""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from ...base.errors import QueueError

__all__ = ["EMULATOR", "Resource", "connected", "create", "is_transient", "with_retries"]

#: Seconds within which the service must answer the first time; a wrong address is reported after this time.
_CONNECT_TIMEOUT = 8.0
#: Seconds for which a run waits for a service that went away.
_RETRY_TIMEOUT = 120.0
#: Environment variable with the emulator's address, which all of Google's clients know.
EMULATOR = "PUBSUB_EMULATOR_HOST"
_LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
T = TypeVar("T")


class Resource(NamedTuple):
    """A subscription or a topic, and the queue's URI for error messages."""

    uri: str
    project: str
    kind: str
    name: str

    @property
    def path(self) -> str:
        """The resource's name in the API."""
        return f"projects/{self.project}/{self.kind}s/{self.name}"


def with_retries(resource: Resource, action: str, call: Callable[[], T]) -> T:
    """The result of a call, which is repeated after transient errors. Raises QueueError for any other error."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    wait, stop = wait_exponential(multiplier=0.1, max=5), stop_after_delay(_RETRY_TIMEOUT)
    try:
        return Retrying(retry=retry_if_exception(is_transient), wait=wait, stop=stop, reraise=True)(call)
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise _queue_error(resource, action, error) from None


def create(resource: Resource, topic: str = "") -> None:
    """Creates a topic, or a subscription of a topic. An existing one is not changed."""
    from google.api_core.exceptions import AlreadyExists

    needed = resource._replace(kind="topic", name=topic) if topic else resource
    request = {"name": resource.path, **({"topic": needed.path} if topic else {})}
    client = connected(resource, "Subscriber" if topic else "Publisher")
    call = client.create_subscription if topic else client.create_topic

    def create_once() -> None:
        with suppress(AlreadyExists):
            call(request=request, retry=None, timeout=_CONNECT_TIMEOUT)

    with_retries(needed, "create", create_once)  # An error names the topic: only it can be missing.


def is_transient(error: BaseException) -> bool:
    """Whether a later attempt may succeed."""
    from google.api_core import exceptions

    transient = (
        exceptions.Aborted,
        exceptions.Cancelled,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ResourceExhausted,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
    )
    return isinstance(error, transient)


def _queue_error(resource: Resource, action: str, error: Exception) -> QueueError:
    """The error as a sentence: which subscription or topic, what is wrong with it, what to do."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    uri, project, kind, name = resource
    reason = getattr(error, "message", None) or str(error)
    role = "editor" if action == "create" else {"subscription": "subscriber", "topic": "publisher"}[kind]
    if isinstance(error, exceptions.NotFound):
        return QueueError(
            f"Pub/Sub at {_endpoint()} has no {kind} {name!r} in the project {project!r}; create the {kind} or correct "
            f"the queue {uri} (the service reported: {reason})"
        )
    if isinstance(error, exceptions.PermissionDenied):
        return QueueError(
            f"these credentials may not {action} the {kind} {name!r} of the project {project!r}; grant their account "
            f"roles/pubsub.{role} there, or correct the queue {uri} (the service reported: {reason})"
        )
    if isinstance(error, (exceptions.Unauthenticated, GoogleAuthError)):
        return QueueError(
            f"no valid Google credentials to {action} the queue {uri}; name a file in GOOGLE_APPLICATION_CREDENTIALS "
            f"or an emulator in {EMULATOR} (the client reported: {reason})"
        )
    if is_transient(error):
        return QueueError(
            f"can't {action} the queue {uri}: no answer from Pub/Sub at {_endpoint()} for {_RETRY_TIMEOUT:.0f} s; the "
            f"client reported: {reason}"
        )
    return QueueError(f"can't {action} the queue {uri} at {_endpoint()}: {reason} ({type(error).__name__})")


def _endpoint() -> str:
    return os.environ.get(EMULATOR) or "pubsub.googleapis.com"


def connected(resource: Resource, role: str) -> Any:
    """The process's client for a role: "Subscriber" pulls and acknowledges, "Publisher" publishes."""
    import grpc
    from google.auth.exceptions import GoogleAuthError

    try:
        return _client(role, os.environ.get(EMULATOR, ""))
    except GoogleAuthError as error:
        raise _queue_error(resource, "open", error) from None
    except grpc.FutureTimeoutError:
        where = f"{EMULATOR}={_endpoint()}" if os.environ.get(EMULATOR) else f"{_endpoint()}, and the network"
        raise QueueError(
            f"no answer from Pub/Sub at {_endpoint()} within {_CONNECT_TIMEOUT:.0f} s; check {where} "
            f"(queue {resource.uri})"
        ) from None


@lru_cache
def _client(role: str, emulator: str) -> Any:
    """A connected client: the generated one, because Google's hand-written one hides requests in futures."""
    import grpc
    from google import pubsub_v1

    client = getattr(pubsub_v1, f"{role}Client")
    if emulator:
        channel = grpc.insecure_channel(emulator, options=_LARGE)
        connected = client(transport=client.get_transport_class("grpc")(channel=channel))
    else:
        connected = client()  # Its channel accepts messages of any size already.
    try:
        grpc.channel_ready_future(connected.transport.grpc_channel).result(timeout=_CONNECT_TIMEOUT)
    except grpc.FutureTimeoutError:
        connected.transport.close()
        raise
    return connected
