"""register_queue and the entry-point group beam_patterns.queues."""

import sys
from pathlib import Path

import pytest

from beam_patterns.transforms.queues import open_queue, queue_kind, queue_schemes, queue_under, register_queue, registry
from beam_patterns.transforms.queues.memory import MemoryQueue

KIND = """
from beam_patterns.transforms.queues.memory import MemoryQueue

class OwnQueue(MemoryQueue):
    pass
"""


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the module own_kind; kinds that a test registers are removed after it."""
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_kind", raising=False)
    (tmp_path / "own_kind.py").write_text(KIND)
    return tmp_path


def test_a_registered_kind_is_imported_when_its_first_uri_is_opened() -> None:
    register_queue("own", "own_kind:OwnQueue")
    assert queue_schemes()["own"] == "own_kind:OwnQueue"
    assert "own_kind" not in sys.modules
    queue = open_queue("own://orders?group=g")
    assert type(queue).__name__ == "OwnQueue"
    assert isinstance(queue, MemoryQueue)
    assert queue_under("own://signup-", "expired", "g") == "own://signup-expired?group=g"


def test_a_kind_may_be_registered_again_but_not_replaced() -> None:
    for _ in range(2):
        register_queue("own", "own_kind:OwnQueue")
    with pytest.raises(
        ValueError, match=r"^register_queue\('own', 'other:Other'\): own:// is own_kind:OwnQueue already$"
    ):
        register_queue("own", "other:Other")
    with pytest.raises(
        ValueError, match=r"kafka:// is beam_patterns.transforms.queues.kafka.queue:KafkaQueue already$"
    ):
        register_queue("kafka", "own_kind:OwnQueue")


@pytest.mark.parametrize("scheme", ["", "Own", "own-kind", "own://", "2nd", "größe"])
def test_a_scheme_is_lower_case_letters_and_digits(scheme: str) -> None:
    with pytest.raises(ValueError, match=r"a scheme is a-z and then a-z or 0-9, such as 'sqs'$"):
        register_queue(scheme, "own_kind:OwnQueue")


@pytest.mark.parametrize("kind", ["", "own_kind", "own_kind.OwnQueue", "a:b:c"])
def test_a_kind_is_a_module_and_a_class(kind: str) -> None:
    with pytest.raises(ValueError, match=r"name the class as 'my_package.module:Class'$"):
        register_queue("own", kind)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("no_such_module:Kind", "No module named 'no_such_module'"), ("own_kind:Missing", "has no attribute 'Missing'")],
)
def test_a_kind_that_can_not_be_imported_is_named(kind: str, reason: str) -> None:
    register_queue("own", kind)
    with pytest.raises(ValueError, match=f"^own:// is {kind}, which can't be imported: .*{reason}"):
        open_queue("own://orders")


def test_a_kind_whose_module_raises_or_that_is_not_a_queue_is_named(kinds: Path) -> None:
    (kinds / "raising_kind.py").write_text("raise RuntimeError('not today')\n")
    register_queue("own", "raising_kind:Kind")
    with pytest.raises(ValueError, match=r"^own:// is raising_kind:Kind, which can't be imported: not today$"):
        open_queue("own://orders")
    register_queue("text", "textwrap:TextWrapper")
    with pytest.raises(ValueError, match=r"^text:// is textwrap:TextWrapper, which is not a subclass of Queue$"):
        open_queue("text://orders")


def test_the_error_for_an_unknown_scheme_lists_the_known_ones() -> None:
    register_queue("own", "own_kind:OwnQueue")
    with pytest.raises(
        ValueError, match=r"the queue owl://x starts with owl://, which is none of file, .*, own, pubsub,"
    ):
        open_queue("owl://x")
    with pytest.raises(KeyError):
        queue_kind("owl")


def test_an_entry_point_adds_a_kind_but_does_not_replace_a_built_in_one(kinds: Path) -> None:
    installed = kinds / "own_kind-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own-kind\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(
        "[beam_patterns.queues]\nown = own_kind:OwnQueue\nkafka = own_kind:OwnQueue\n"
    )
    assert type(open_queue("own://orders?group=g")).__name__ == "OwnQueue"
    assert queue_kind("kafka").__name__ == "KafkaQueue"
    with pytest.raises(ValueError, match=r"has an unknown parameter 'groop'; known are group"):
        open_queue("own://orders?groop=g")
