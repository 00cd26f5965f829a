"""Why a Kafka server does not answer: the checks that an operator would make, whatever the client reports."""

import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["await_name", "probe"]


def await_name(servers: Sequence[str], seconds: float) -> bool:
    """Waits until the host name of one of the servers resolves. Returns whether one did in time."""
    deadline = time.monotonic() + seconds
    while True:
        for server in servers:
            with suppress(socket.gaierror):
                return bool(socket.getaddrinfo(*_host_and_port(server)))
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def probe(server: str, settings: Mapping[str, str]) -> str:
    """The result of a test connection to host:port, as text."""
    host, port = _host_and_port(server)
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            if settings.get("security.protocol", "").upper().endswith("SSL"):
                _handshake(connection, host, settings)
            return "something listens on this port, but does not answer as the settings require"
    except socket.gaierror:
        return "the host name does not resolve"
    except ConnectionRefusedError:
        return "the connection is refused: nothing listens on this port"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is refused: {error.verify_message}; check ssl.ca.location"
    except OSError as error:  # Also a missing file that the settings name.
        return str(error)


def _host_and_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def _handshake(connection: socket.socket, host: str, settings: Mapping[str, str]) -> None:
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    if "ssl.certificate.location" in settings:
        names = ("ssl.certificate.location", "ssl.key.location", "ssl.key.password")
        context.load_cert_chain(*(settings.get(name) for name in names))  # type: ignore[arg-type]
    context.wrap_socket(connection, server_hostname=host).close()
