"""Security settings of Kafka connections, from a file, so that no secret is ever part of a URI."""

import os
from collections.abc import Mapping
from pathlib import Path

from ...base.errors import QueueError
from ..uri import QueueUri

__all__ = ["KAFKA_PYTHON_NAMES", "settings"]

#: Names a file with settings for queues whose URI names none.
_VARIABLE = "BEAM_PATTERNS_KAFKA_SETTINGS"

#: The settings there are, by librdkafka's names, and what kafka-python calls them.
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
    """What the file says: lines such as `security.protocol=SASL_SSL`. Read where the connection is made."""
    path = uri.params.get("settings") or os.environ.get(_VARIABLE)
    if not path:
        return {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise QueueError(f"the settings file {path} of the queue {uri.text} can't be read: {error}") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    return dict(
        _pair(f"the settings file {path} of the queue {uri.text}", *pair) for pair in numbered if _says(pair[1])
    )


def _says(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def _pair(file: str, number: int, line: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals:  # The line itself stays out of the message: it may be a password.
        raise QueueError(f"{file}: line {number} has no '='; write lines such as security.protocol=SASL_SSL")
    if name not in KAFKA_PYTHON_NAMES:
        raise QueueError(
            f"{file}: line {number} has the unknown setting {name!r}; known are {', '.join(KAFKA_PYTHON_NAMES)}"
        )
    return name, value
