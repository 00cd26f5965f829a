"""Files as items: messages name files and do not hold their content."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest

from beam_patterns.pipelines import work_queue
from beam_patterns.pipelines.cli import queue as queue_command
from beam_patterns.testing import run_pattern
from beam_patterns.transforms import WorkQueue
from beam_patterns.transforms.queues import (
    MESSAGE_ID,
    Message,
    QueueError,
    QueueUri,
    ReadFromQueue,
    UnreadableError,
    WriteToQueue,
    open_queue,
)
from beam_patterns.transforms.queues.files.items import FileItems
from beam_patterns.transforms.work import Command
from tests.transforms.queues.files.test_files import Shelf


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Four videos, one in a subfolder and one hidden, another file, and a folder that is named like a video."""
    folder = tmp_path / "videos"
    (folder / "below").mkdir(parents=True)
    for size, name in enumerate(["a.mp4", "with [space] ü.mp4", "below/c.MP4", ".hidden.mp4", "notes.csv"]):
        (folder / name).write_bytes(b"x" * size)
    (folder / "folder.mp4").mkdir()
    return folder


def read(uri: str) -> list[Message]:
    """Reads all items without a pipeline."""
    queue = open_queue(uri)
    found = [batch for split in queue.splits() for batch in queue.read(split)]
    assert not any(isinstance(batch, UnreadableError) for batch in found)
    return [message for batch in found for message in batch if isinstance(message, Message)]


def paths(uri: str, folder: Path) -> list[str]:
    """The paths of the items, relative to the folder."""
    return [os.path.relpath(message.json()["path"], folder) for message in read(uri)]


def test_an_item_has_path_size_and_modification_time_of_its_file(videos: Path) -> None:
    os.utime(videos / "a.mp4", (1, 1_700_000_000.25))
    path = str(videos / "a.mp4")
    (message,) = read(f"file://{videos}/a*.mp4")
    assert message.json() == {"path": path, "size": 0, "modified": 1_700_000_000.25}
    assert (message.key, message.timestamp, message.source) == (path.encode(), 1_700_000_000.25, (path, 0, 0))


def test_a_pattern_whose_suffix_is_not_a_message_format_means_the_files(videos: Path) -> None:
    assert paths(f"file://{videos}/*.mp4", videos) == ["a.mp4", "with [space] ü.mp4"]
    assert paths(f"{videos}/*.mp4", videos) == ["a.mp4", "with [space] ü.mp4"]
    assert paths(f"{videos}/**/*.MP4", videos) == ["below/c.MP4"]


def test_items_files_means_the_files_whatever_their_suffix(videos: Path) -> None:
    assert paths(f"file://{videos}/*.csv?items=files", videos) == ["notes.csv"]
    assert paths(f"file://{videos}/a.mp4?items=files", videos) == ["a.mp4"]
    every = ["a.mp4", "notes.csv", "with [space] ü.mp4"]
    assert [paths(f"file://{videos}{end}?items=files", videos) for end in ("", "/", "/*")] == [every] * 3


def test_items_of_a_relative_pattern_have_absolute_paths(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    assert [m.json()["path"] for m in read("a*.mp4")] == [str(videos / "a.mp4")]


def test_a_changed_file_is_a_new_item_and_an_unchanged_file_the_same_item(videos: Path) -> None:
    def ids() -> list[bytes | None]:
        return [message.with_id().attribute(MESSAGE_ID) for message in read(f"{videos}/*.mp4")]

    before = ids()
    assert ids() == before
    (videos / "a.mp4").write_bytes(b"longer")
    after = ids()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True]


def test_files_of_a_store_that_only_beam_knows_can_be_items(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shelf, "folder", str(videos.parent))
    for path in ("shelf://videos/a*.mp4", "shelf://videos/a.mp4"):
        queue = FileItems(QueueUri(path, "shelf", "", path, {}))
        (batch,) = (batch for split in queue.splits() for batch in queue.read(split))
        assert not isinstance(batch, UnreadableError)
        seen = {name: batch[0].json()[name] for name in ("path", "size")}
        assert seen == {"path": "shelf://videos/a.mp4", "size": 0}


def test_a_pattern_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match=r"no file matches /.*/\*\.mp4; check the path"):
        open_queue(f"{tmp_path}/*.mp4").splits()


def test_a_file_that_is_removed_during_the_run_is_unreadable_even_if_its_name_is_a_pattern(videos: Path) -> None:
    (videos / "[ab].mp4").touch()
    queue = open_queue(f"{videos}/[[]*.mp4")
    (split,) = queue.splits()
    (videos / "[ab].mp4").unlink()
    with pytest.raises(UnreadableError, match=r"\[ab\].mp4 was listed but can't be found: it was removed") as gone:
        list(queue.read(split))
    assert gone.value.payload == os.fsencode(videos / "[ab].mp4")


def test_a_file_whose_name_is_not_utf_8_is_a_dead_letter_and_the_others_are_read(videos: Path) -> None:
    (videos / os.fsdecode(b"\xff.mp4")).touch()
    read_them = ReadFromQueue(f"{videos}/*.mp4")
    run = run_pattern(read_them)
    assert len(run["out"]) == 2
    assert [letter.payload for letter in run.dead] == [os.fsencode(videos) + rb"/\xff.mp4"]
    assert "or its name is not valid UTF-8" in run.dead[0].error_message


@pytest.mark.parametrize("uri", ["/data/*.mp4", "file:///data/out.jsonl?items=files"])
def test_writing_files_as_items_is_refused_when_the_pipeline_is_built(uri: str) -> None:
    with pytest.raises(ValueError, match=r"can't write to .*data/.*: it names files as items"):
        _ = beam.Pipeline("FnApiRunner") | beam.Create([b"x"]) | WriteToQueue(uri)
    with pytest.raises(ValueError, match="can't write to"):
        open_queue(uri).writer()


def size_of(message: Message) -> int:
    """The size of the item's file."""
    return Path(message.json()["path"]).stat().st_size


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_functions_and_programs_work_on_files(videos: Path, pipeline: Callable[..., beam.Pipeline]) -> None:
    def flow(p: beam.Pipeline, dead: beam.transforms.error_handling.ErrorHandler) -> dict[str, beam.PCollection]:
        files = p | ReadFromQueue(f"file://{videos}/*.mp4")
        counted = files | "Count" >> WorkQueue(Command(["wc", "-c", "{path}"])).with_workers(1).with_error_handler(dead)
        sizes = files | "Size" >> WorkQueue(size_of).with_workers(1).with_error_handler(dead)
        return {"sizes": sizes, "counts": counted}

    run = run_pattern(flow, make=pipeline)
    assert sorted(run["sizes"]) == [0, 1]
    assert sorted(run["counts"]) == [f"{n} {videos}/{name}\n".encode() for n, name in enumerate(paths_in_order(videos))]


def paths_in_order(videos: Path) -> list[str]:
    """Names of the videos in the folder itself, by size."""
    return sorted((path.name for path in videos.glob("*.mp4") if path.is_file() and path.name[0] != "."), key=len)


@pytest.mark.integration
@pytest.mark.usefixtures("fork_server")
def test_the_work_queue_pipeline_processes_new_and_changed_files_only(videos: Path, tmp_path: Path) -> None:
    given = ["--input", f"{videos}/*.mp4", "--output", f"{tmp_path}/out.jsonl", "--done", f"{tmp_path}/done"]
    given += ["--dead_letters", f"{tmp_path}/dead.jsonl", "--quiet", "--command", "echo -n {path}"]
    for _ in range(2):
        assert work_queue.run(given) == 0
        both = [f"{videos}/a.mp4", f"{videos}/with [space] ü.mp4"]
        assert sorted((tmp_path / "out.jsonl").read_text().splitlines()) == both
    (videos / "a.mp4").write_bytes(b"changed")
    assert work_queue.run(given) == 0
    assert (tmp_path / "out.jsonl").read_text().splitlines()[2:] == [f"{videos}/a.mp4"]


def test_the_queue_command_shows_items(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue_command.main(["peek", f"{videos}/*.mp4", "-n", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(json.loads(line)["value"])["path"] == f"{videos}/a.mp4"
