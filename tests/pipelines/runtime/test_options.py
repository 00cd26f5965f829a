"""Options are declared once, and what is wrong with a command line is one sentence."""

from datetime import timedelta

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

from beam_patterns.pipelines.runtime.options import Options, duration, option, options_of, queue, switch


class Example(Options):
    """Copies things."""

    source: str = option("Where they are.", example="memory://things", type=queue)
    copies: int = option("How many.", example="2", type=int, default=1)
    share: float = option("Which part, 100 % is 1.", example="0.5", type=float, default=1.0)
    mode: str = option("How.", example="fast", default="safe", choices=("fast", "safe"))
    name: str = option("Its name.", example="abc", default="x", pattern="[a-z]+")
    password: str = option("Only we know it.", example="...", default="hush", secret=True, pattern="[a-z]+")
    within: timedelta = option("How long.", example="7d", type=duration, default=timedelta(hours=36))
    loud: bool = option("Say it.", example="true", type=switch, default=False)

    def check(self) -> None:
        if self.copies > 9:
            raise ValueError(f"--copies: {self.copies} are too many")


def test_values_have_their_types_and_defaults() -> None:
    options, others = Example.parse(["--source=memory://a", "--copies", "3", "--within", "15m", "--loud"])
    assert options == Example(source="memory://a", copies=3, within=timedelta(minutes=15), loud=True)
    assert (options.share, options.mode, options.runner, options.quiet) == (1.0, "safe", "DirectRunner", False)
    assert others == []


def test_a_switch_takes_a_value_too_as_a_template_gives_it() -> None:
    assert not Example.parse(["--source=memory://a", "--loud=false"])[0].loud
    assert Example.parse(["--source=memory://a", "--streaming=true"])[0].streaming


def test_options_of_the_runner_are_passed_on() -> None:
    _, others = Example.parse(["--source=memory://a", "--num_workers=4", "--job_name", "j", "--experiments=a"])
    assert others == ["--num_workers=4", "--job_name", "j", "--experiments=a"]
    assert PipelineOptions(others).view_as(WorkerOptions).num_workers == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--copies=2"], "missing --source; write, for example, --source memory://things"),
        (["--source=memory://a", "--sauce=b"], "unknown parameter --sauce; did you mean --source?"),
        (["--source=memory://a", "--zzz"], "unknown parameter --zzz; --help lists all parameters"),
        (["--source=memory://a", "stray"], "unknown parameter stray; --help lists all parameters"),
        (["--source=memory://a", "--cop=2"], "unknown parameter --cop; did you mean --copies?"),
        (
            ["--source=memory://a", "--copies=two"],
            "--copies: 'two' is not a whole number; write, for example, --copies 2",
        ),
        (["--source=memory://a", "--share=x"], "--share: 'x' is not a number; write, for example, --share 0.5"),
        (["--source=memory://a", "--within=7"], "--within: '7' is not a duration; write, for example, --within 7d"),
        (["--source=memory://a", "--mode=slow"], "--mode: 'slow' is not one of fast, safe"),
        (["--source=memory://a", "--name=A1"], "--name: 'A1' does not have the form of abc"),
        (["--source=memory://a", "--password=S3CRET"], "--password: the given value does not have the form of ..."),
        (
            ["--source=memory://a", "--loud=maybe"],
            "--loud: 'maybe' is neither true nor false; write, for example, --loud true",
        ),
        (["--source=memory://a", "--copies=10"], "--copies: 10 are too many"),
        (["--source"], "--source: expected one argument"),
        (["--source=memory://a", "--num_workers=many"], "--num_workers: invalid int value: 'many'"),
    ],
)
def test_a_mistake_is_one_sentence_that_shows_the_value_and_the_fix(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Example.parse(arguments)
    assert str(refused.value) == sentence


def test_files_as_such_are_refused_where_messages_are_wanted() -> None:
    with pytest.raises(ValueError, match=r"^--source: '/data/\*.mp4' names files as items, not messages"):
        Example.parse(["--source", "/data/*.mp4"])


def test_a_queue_that_is_none_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match=r"^--source: the queue sqlite://x has|^--source: the queue sqlite://x"):
        Example.parse(["--source", "sqlite://x"])


def test_the_help_explains_every_option_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        Example.parse(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "Copies things." in text
    for name, about in options_of(Example).items():
        assert f"Example: --{name}" in text
        assert about.help.split(".")[0].split("%")[0] in text
    assert "How long. (default: 36h)" in text
    assert "Where they are. (required)" in text
    assert "hush" not in text


def test_the_declaration_can_be_read_without_a_command_line() -> None:
    about = options_of(Example)
    assert (about["mode"].choices, about["name"].pattern, about["password"].secret) == (
        ("fast", "safe"),
        "[a-z]+",
        True,
    )
    assert list(about)[-2:] == ["within", "loud"]


def test_two_pipelines_with_the_same_option_do_not_disturb_each_other() -> None:
    class Other(Options):
        """Another."""

        copies: str = option("In words.", example="two")

    assert Other.parse(["--copies=two"])[0].copies == "two"
    assert Example.parse(["--source=memory://a", "--copies=2"])[0].copies == 2
