"""Command: the work queue's container contract, without a container."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from beam_patterns.transforms.queues import Message
from beam_patterns.transforms.work import Command, CommandError, PermanentError


class Order(NamedTuple):
    """A row."""

    id: int
    name: str


def python(code: str, *arguments: str) -> Command:
    """A Command that runs this code."""
    return Command([sys.executable, "-c", code.replace("{", "{{").replace("}", "}}"), *arguments])


SHOW_ITEM_FILE = "import os, sys; sys.stdout.write(open(os.environ['WORK_ITEM_FILE']).read())"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"id": 1, "name": "ann"}, '{"id":1,"name":"ann"}'),
        (Order(1, "ann"), '{"id":1,"name":"ann"}'),
        (Message(b'{"id": 1}'), '{"id": 1}'),
        (Message(b"no json"), '"no json"'),
        (b"no json", '"no json"'),
        ("/videos/a.mp4", '"/videos/a.mp4"'),
        (Path("/videos/a.mp4"), '"/videos/a.mp4"'),
        (7, "7"),
    ],
)
def test_the_item_is_json_in_the_file_that_work_item_file_names(item: Any, text: str) -> None:
    assert python(SHOW_ITEM_FILE)(item) == text.encode()


@pytest.mark.parametrize("name", ["ann", "a b", "$(touch /tmp/x)", "; rm -rf /", "*", "'\"", "{braces}", "ünï", ""])
def test_a_placeholder_is_one_argument_whatever_it_contains(name: str) -> None:
    program = python("import json, sys; print(json.dumps(sys.argv[1:]))", "--name", "{name}", "<{name}>")
    assert json.loads(program({"name": name})) == ["--name", name, f"<{name}>"]


def test_the_item_itself_is_a_placeholder() -> None:
    assert Command(["echo", "-n", "{item}"])("/videos/a b.mp4") == b"/videos/a b.mp4"


def test_values_that_are_not_text_are_passed_as_json() -> None:
    assert Command(["echo", "-n", "{n} {flag} {list}"])({"n": 1.5, "flag": True, "list": [1]}) == b"1.5 true [1]"


def test_a_doubled_brace_is_a_brace() -> None:
    assert Command(["echo", "-n", "{{item}}"])("x") == b"{item}"


def test_the_result_is_the_content_of_the_output_file() -> None:
    program = python("import sys; open(sys.argv[1], 'w').write('made'); print('progress')", "{output}")
    assert program("x") == b"made"


def test_the_output_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    code = "import os, sys; open(sys.argv[1], 'w').write(','.join(sorted(os.listdir(os.path.dirname(sys.argv[1])))))"
    program = python(code, "{output}").with_output_file(f"{tmp_path}/{{name}}/thumbnail.png")
    assert not program.has_output({"name": "a"})
    assert program({"name": "a"}) == f"{tmp_path}/a/thumbnail.png"
    assert program.has_output({"name": "a"})
    # While the program ran, there was only the partial file, with the suffix from which programs tell the format.
    assert (tmp_path / "a" / "thumbnail.png").read_text() == ".thumbnail.partial.png"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["thumbnail.png"]


def test_a_failure_leaves_no_output_file(tmp_path: Path) -> None:
    program = python("import sys; open(sys.argv[1], 'w').write('half'); sys.exit(1)", "{output}")
    with pytest.raises(CommandError):
        program.with_output_file(f"{tmp_path}/{{item}}.png")("a")
    assert list(tmp_path.iterdir()) == []


def test_each_item_has_a_scratch_folder_which_is_removed_afterwards() -> None:
    program = python("import os, sys; open(sys.argv[1] + '/x', 'w'); print(sys.argv[1], end='')", "{scratch}")
    first, second = program("a"), program("a")
    assert first != second
    assert not os.path.exists(first) and not os.path.exists(second)  # noqa: PTH110


def test_the_error_has_the_exit_code_and_the_end_of_stderr() -> None:
    program = python("import sys; sys.stderr.write('x' * 100_000 + ' no such codec'); sys.exit(3)")
    with pytest.raises(CommandError, match=r"ended with exit code 3: x+ no such codec$") as caught:
        program("a")
    assert len(str(caught.value)) < 10_000


def test_a_signal_is_named() -> None:
    with pytest.raises(CommandError, match=r"ended with SIGSEGV: no output on stderr"):
        python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")("a")


def test_a_signal_without_a_name_has_its_number() -> None:
    with pytest.raises(CommandError, match=r"ended with signal 36: no output on stderr"):
        python("import os; os.kill(os.getpid(), 36)")("a")


def test_output_is_bounded() -> None:
    endless = Command(["cat", "/dev/zero"], max_output=100_000)
    with pytest.raises(CommandError, match=r"cat wrote more than 100,000 bytes to stdout; let it write to {output}"):
        endless("a")


def test_a_program_gets_no_input() -> None:
    assert Command(["cat"])("a") == b""


def test_a_missing_program_is_not_worth_a_retry() -> None:
    with pytest.raises(PermanentError, match="can't run the program 'no-such-program': No such file or directory"):
        Command(["no-such-program"])("a")


def test_a_missing_field_is_not_worth_a_retry() -> None:
    with pytest.raises(PermanentError, match=r"the item has no field 'name', which the argument '{name}' needs"):
        Command(["echo", "{name}"])({"id": 1})


@pytest.mark.parametrize("item", [b'{"name": "ann"', Message(b'{"name": "ann"')])
def test_a_missing_field_of_broken_json_is_an_error_about_the_json(item: Any) -> None:
    sentence = r"the item is not JSON: unexpected end of data: .*; the argument '{name}' needs its field 'name'"
    with pytest.raises(PermanentError, match=sentence):
        Command(["echo", "{name}"])(item)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Command("ffmpeg -i x"),
            r"takes a list of strings, .* not 'ffmpeg -i x'; commands run without a shell: write",
        ),
        (lambda: Command([]), r"takes a list of strings"),
        (lambda: Command(["echo", 1]), r"takes a list of strings"),
        (lambda: Command(["echo", "{"]), r"lone brace"),
        (lambda: Command(["echo", "{item.__class__}"]), r"{item.__class__} in .* is not a placeholder"),
        (lambda: Command(["echo", "{0}"]), r"is not a placeholder"),
        (lambda: Command(["echo", "{}"]), r"is not a placeholder"),
        (lambda: Command(["echo", "{item!r}"]), r"is not a placeholder"),
        (lambda: Command(["true"]).with_output_file("/x"), r"true has no argument {output} to write to"),
        (
            lambda: Command(["cp", "{output}"]).with_output_file("{scratch}/x"),
            r"only {item} and its fields can be in the path",
        ),
    ],
)
def test_wrong_use_fails_at_construction(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()
