"""Connections to Pub/Sub: its own client, the emulator's address, patience, and errors as sentences."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from ...base.errors import QueueError

__all__ = ["PATIENCE", "REACH", "Resource", "create", "failure", "patiently", "publisher", "subscriber"]

#: Seconds within which the service must answer at the start; a wrong address shows by then.
REACH = 8.0
#: Seconds that a run under way waits for a service that went away.
PATIENCE = 120.0
#: Where the emulator listens, by the name that all of Google's clients know.
EMULATOR = "PUBSUB_EMULATOR_HOST"
_LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
T = TypeVar("T")


class Resource(NamedTuple):
    """A subscription or a topic, and the URI that errors name."""

    uri: str
    project: str
    kind: str
    name: str

    @property
    def path(self) -> str:
        """Its name in the API."""
        return f"projects/{self.project}/{self.kind}s/{self.name}"


def subscriber(resource: Resource) -> Any:
    """The client that pulls and acknowledges, one per process."""
    return _connected(resource, "Subscriber")


def publisher(resource: Resource) -> Any:
    """The client that publishes, one per process."""
    return _connected(resource, "Publisher")


def patiently(resource: Resource, doing: str, call: Callable[[], T]) -> T:
    """Repeats a call while the service is away; any other error is a QueueError at once."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    deadline, pause = time.monotonic() + PATIENCE, 0.1
    while True:
        try:
            return call()
        except (GoogleAPICallError, GoogleAuthError) as error:
            if not is_away(error) or time.monotonic() + pause > deadline:
                raise failure(resource, doing, error) from None
        time.sleep(pause)
        pause = min(2 * pause, 5)


def create(resource: Resource, topic: str = "") -> None:
    """Makes a topic, or a subscription of a topic; one that is there already stays as it is."""
    from google.api_core.exceptions import AlreadyExists

    made = resource._replace(kind="topic", name=topic) if topic else resource
    request = {"name": resource.path, **({"topic": made.path} if topic else {})}
    call = subscriber(resource).create_subscription if topic else publisher(resource).create_topic

    def create_once() -> None:
        with suppress(AlreadyExists):
            call(request=request, retry=None, timeout=REACH)

    patiently(made, "create", create_once)  # What may be missing is the topic.


def is_away(error: Exception) -> bool:
    """Whether trying again later makes sense."""
    from google.api_core import exceptions

    kinds = (
        exceptions.Aborted,
        exceptions.Cancelled,
        exceptions.DeadlineExceeded,
        exceptions.InternalServerError,
        exceptions.ResourceExhausted,
        exceptions.ServiceUnavailable,
        exceptions.Unknown,
    )
    return isinstance(error, kinds)


def failure(resource: Resource, doing: str, error: Exception) -> QueueError:
    """What an operator should know: which subscription or topic, what is wrong with it, what to do."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    uri, project, kind, name = resource
    said = getattr(error, "message", None) or str(error)
    role = "editor" if doing == "create" else {"subscription": "subscriber", "topic": "publisher"}[kind]
    if isinstance(error, exceptions.NotFound):
        return QueueError(
            f"Pub/Sub at {_endpoint()} has no {kind} {name!r} in the project {project!r}; create the {kind} or correct "
            f"the queue {uri} (the service said: {said})"
        )
    if isinstance(error, exceptions.PermissionDenied):
        return QueueError(
            f"these credentials may not {doing} the {kind} {name!r} of the project {project!r}; grant their account "
            f"roles/pubsub.{role} there, or correct the queue {uri} "
            f"(the service said: {said})"
        )
    if isinstance(error, (exceptions.Unauthenticated, GoogleAuthError)):
        return QueueError(
            f"no valid Google credentials to {doing} the queue {uri}; name a file in GOOGLE_APPLICATION_CREDENTIALS "
            f"or an emulator in {EMULATOR} (the client said: {said})"
        )
    if is_away(error):
        return QueueError(
            f"can't {doing} the queue {uri}: no answer from Pub/Sub at {_endpoint()} for {PATIENCE:.0f} s; the client "
            f"said: {said}"
        )
    return QueueError(f"can't {doing} the queue {uri} at {_endpoint()}: {said} ({type(error).__name__})")


def _endpoint() -> str:
    return os.environ.get(EMULATOR) or "pubsub.googleapis.com"


def _connected(resource: Resource, role: str) -> Any:
    import grpc  # type: ignore[import-untyped]
    from google.auth.exceptions import GoogleAuthError

    try:
        return _client(role, os.environ.get(EMULATOR, ""))
    except GoogleAuthError as error:
        raise failure(resource, "open", error) from None
    except grpc.FutureTimeoutError:
        where = f"{EMULATOR}={_endpoint()}" if os.environ.get(EMULATOR) else f"{_endpoint()}, and the network"
        raise QueueError(
            f"no answer from Pub/Sub at {_endpoint()} within {REACH:.0f} s; check {where} (queue {resource.uri})"
        ) from None


@lru_cache
def _client(role: str, emulator: str) -> Any:
    """A client whose channel stands. The generated one: Google's hand-written one hides requests behind futures."""
    import grpc
    from google import pubsub_v1

    client = getattr(pubsub_v1, f"{role}Client")
    if emulator:
        channel = grpc.insecure_channel(emulator, options=_LARGE)
        made = client(transport=client.get_transport_class("grpc")(channel=channel))
    else:
        made = client()  # Its channel takes messages of any size already.
    try:
        grpc.channel_ready_future(made.transport.grpc_channel).result(timeout=REACH)
    except grpc.FutureTimeoutError:
        made.transport.close()
        raise
    return made
