"""Security settings of Kafka connections, from a file, so that URIs contain no secrets."""

import os
from collections.abc import Mapping
from pathlib import Path

from ...base.errors import QueueError
from ..uri import QueueUri

__all__ = ["KAFKA_PYTHON_NAMES", "settings"]

#: Environment variable with the settings file of queues whose URI names none.
_VARIABLE = "BEAM_PATTERNS_KAFKA_SETTINGS"

#: The known settings: librdkafka's names, and the names in kafka-python.
KAFKA_PYTHON_NAMES = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}


def settings(uri: QueueUri) -> Mapping[str, str]:
    """The settings in the file, from lines such as `security.protocol=SASL_SSL`. Workers read the file themselves."""
    path = uri.params.get("settings") or os.environ.get(_VARIABLE)
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QueueError(f"the settings file {path} of the queue {uri.text} can't be read: {error}") from None
    file = f"the settings file {path} of the queue {uri.text}"
    return dict(_pair(file, n, line) for n, line in enumerate(map(str.strip, lines), 1) if line and line[0] != "#")


def _pair(file: str, number: int, line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals:  # The message does not show the line, which may be a password.
        raise QueueError(f"{file}: line {number} has no '='; write lines such as security.protocol=SASL_SSL")
    if name not in KAFKA_PYTHON_NAMES:
        raise QueueError(
            f"{file}: line {number} has the unknown setting {name!r}; known are {', '.join(KAFKA_PYTHON_NAMES)}"
        )
    return name, value
