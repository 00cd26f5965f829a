"""Expressions: mistakes are found when they are read, values when they are evaluated."""

import pickle

import pytest

from beam_patterns.pipelines.cel.expression import Expression, Kind, bound
from beam_patterns.pipelines.cel.item import cases, condition, item_of, key
from beam_patterns.transforms.queues import Message


def holds(text: str, payload: bytes) -> bool:
    return condition(text)(item_of(Message(payload)))


@pytest.mark.parametrize(
    ("text", "payload", "value"),
    [
        ('item.a && item.b == "x"', b'{"a": true, "b": "x"}', True),
        ("item.opt_in && item.age >= 18", b'{"opt_in": true, "age": 41}', True),
        ("item.n > 2.5", b'{"n": 3}', True),
        ("item.n == 3.0", b'{"n": 3}', True),
        ("item.missing || true", b"{}", True),
        ("has(item.missing)", b"{}", False),
        ("item.missing && false", b"{}", False),
        ("item.list.exists(x, x > 2)", b'{"list": [1, 2, 3]}', True),
        (
            "item.name.startsWith('Zo\N{LATIN SMALL LETTER E WITH ACUTE}')",
            b'{"name": "Zo\\u00e9 \\ud83d\\ude00"}',
            True,
        ),
        ("item == null", b"null", True),
        ("size(item) == 6", b'"\\\\u0000"', True),
        ("item.n == 9223372036854775809u", b'{"n": 9223372036854775809}', True),
        ('"a b" in item', b'{"a b": {}}', True),
    ],
)
def test_a_condition_knows_the_types_of_json(text: str, payload: bytes, value: bool) -> None:
    assert holds(text, payload) is value


def test_a_key_is_text_or_a_whole_number() -> None:
    view = item_of(Message(b'{"id": 7, "name": "ann"}'))
    assert [key(text)(view) for text in ("item.id", "item.name", "item.name + '/' + string(item.id)")] == [
        7,
        "ann",
        "ann/7",
    ]
    assert key("") is None


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("n <", "condition", "syntax error in 'n <' at character 4: mismatched input '<EOF>'"),
        ("true ||\n m", "condition", "error in 'true ||\\n m' at line 2, character 2: undeclared reference"),
        ("n && true", "condition", "error in 'n && true' at character 3: found no matching overload"),
        ("n + 1", "condition", "'n + 1' is not a condition: its type is INT, not true or false"),
        ("[n]", "key", "'[n]' is not a key: its type is LIST<INT>, not text or a whole number"),
        ("(" * 99 + "n" + ")" * 99, "key", "))))': CANCELLED: Expression recursion limit exceeded. limit"),
    ],
)
def test_a_mistake_is_found_when_the_text_is_read_and_its_place_is_named(text: str, kind: Kind, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Expression(text, {"n": int}, kind)
    assert sentence in str(refused.value)


def test_a_pickled_expression_has_the_same_values() -> None:
    copy = pickle.loads(pickle.dumps(key("item.id")))
    assert (str(copy), copy(bound({"item": {"id": 7}})), copy({"item": {"id": 8}})) == ("item.id", 7, 8)
    with pytest.raises(ValueError, match=r"^'item.id' is not a key: its type is BOOL, not text or a whole number$"):
        copy({"item": {"id": True}})


def test_semicolons_in_strings_do_not_separate_cases() -> None:
    texts = {
        "a": 'item.x == "y; z: \\";"',
        "b": "item.x == ';'",
        "c": 'item.x == r"\\;" || item.x == """a";"b"""',
        "d": "has(item.x) ? item.x : false",
    }
    given = " ;".join(f" {name} : {text}" for name, text in texts.items())
    assert {name: str(case) for name, case in cases(f"{given};\n").items()} == texts
