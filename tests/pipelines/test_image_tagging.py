"""Image tagging: plates are unreadable, originals stay until all are blurred, and the totals are correct."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

from beam_patterns.pipelines.image_tagging import ImageTaggingOptions, build, run
from beam_patterns.pipelines.parts.images.album import Album, ChangedError
from beam_patterns.pipelines.parts.images.pictures import BrokenImageError, read
from beam_patterns.pipelines.parts.images.vehicles import find_vehicles
from beam_patterns.pipelines.parts.images.work import Deleter, blurrer, tagger
from beam_patterns.pipelines.report.flow import DATA, Flow
from tests.servers import wait_until

from .videos import ROOT, dead_letters

_EXAMPLES = runpy.run_path(str(ROOT / "examples" / "traffic.py"))
scene: Callable[..., Any] = _EXAMPLES["scene"]

pytestmark = pytest.mark.usefixtures("fork_server")

IMAGES = 8
NO_IMAGE = "the file is not a JPEG, PNG, WEBP, BMP or TIFF image"
BROKEN = {
    "cut-off.png": "the image is broken: image file is truncated",
    "empty.jpg": NO_IMAGE,
    "notes.txt": NO_IMAGE,
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traffic")
    command = [sys.executable, "examples/traffic.py", "--folder", str(folder), "--count", str(IMAGES)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder


@pytest.fixture
def traffic(generated: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the images."""
    return Path(shutil.copytree(generated / "images", tmp_path / "images"))


@pytest.fixture
def truth(generated: Path) -> dict[str, Any]:
    return json.loads((generated / "truth.json").read_text())


def tag(traffic: Path, *more: str) -> dict[str, Any]:
    """Runs the pipeline; returns the totals."""
    output = traffic.parent / "out"
    assert run(["--images", str(traffic), "--output", str(output), "--quiet", "--shards=1", *more]) == 0
    return json.loads((output / "summary.json").read_bytes())


def started(traffic: Path) -> "subprocess.Popen[bytes]":
    script = [sys.executable, str(ROOT / "pipelines" / "image_tagging.py"), "--quiet", "--delete_originals"]
    arguments = ["--images", str(traffic), "--output", str(traffic.parent / "out"), "--shards=1"]
    return subprocess.Popen([*script, *arguments], start_new_session=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spoil(traffic: Path) -> None:
    """Adds files that are not images."""
    (traffic / "cut-off.png").write_bytes((traffic / "scene-000.png").read_bytes()[:50_000])
    (traffic / "empty.jpg").write_bytes(b"")
    (traffic / "notes.txt").write_text("<b>no image</b>")


@pytest.mark.integration
def test_totals_are_correct_and_originals_stay_by_default(traffic: Path, truth: dict[str, Any]) -> None:
    originals = names(traffic)
    assert tag(traffic, "--shards=3") == truth["totals"]
    assert names(traffic) == originals == names(traffic.parent / "out" / "blurred")
    page = (traffic.parent / "out" / "index.html").read_text()
    assert page.count('<img src="blurred/scene-') == IMAGES
    assert f"<li>{truth['totals']['vehicles']['car']} car</li>" in page
    copies = {path: path.stat().st_ino for path in (traffic.parent / "out" / "blurred").iterdir()}
    assert tag(traffic) == truth["totals"]
    assert {path: path.stat().st_ino for path in copies} == copies, "no image is blurred twice"


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_plates_can_not_be_read_in_a_copy_and_everything_else_is_unchanged(tmp_path: Path, kind: str) -> None:
    copies = []
    for plates in (1, 2):
        folder = tmp_path / str(plates)
        folder.mkdir()
        picture, vehicles = scene(3, plates)
        picture.save(folder / f"a.{kind}", quality=95)
        album = Album(str(folder), str(folder))
        blurrer(album)(str(folder / f"a.{kind}"))
        copy = read(album.copy(str(folder / f"a.{kind}"))).pixels
        before, near = read(folder / f"a.{kind}").pixels, np.zeros(copy.shape[:2], bool)
        for left, top, right, low in (vehicle.plate_box for vehicle in vehicles):
            near[top - 25 : low + 25, left - 25 : right + 25] = True
            assert np.ptp(before[top:low, left:right].mean(axis=2)) > 150, "it could be read"
            assert np.ptp(copy[top:low, left:right].mean(axis=2)) < 12, "no character is visible"
        assert np.abs(copy.astype(int) - before)[~near].max() <= (0 if kind == "png" else 40)
        copies.append([copy[top:low, left:right] for left, top, right, low in (v.plate_box for v in vehicles)])
    for one, other in zip(*copies, strict=True):
        assert np.abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))).max() < 6, "other plates look the same"


def test_a_copy_contains_nothing_but_pixels_and_is_upright(tmp_path: Path) -> None:
    picture, _ = scene(3)
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = 6, "B-KX 4711 went by"  # Turned by a quarter; a description.
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=notes, quality=95)
    album = Album(str(tmp_path), str(tmp_path / "out"))
    blurrer(album)(str(tmp_path / "a.jpg"))
    copy = album.copy(str(tmp_path / "a.jpg"))
    assert b"went by" in (tmp_path / "a.jpg").read_bytes()
    assert b"went by" not in copy.read_bytes()
    with Image.open(copy) as image:
        assert (image.size, dict(image.getexif())) == (picture.size, {})


@pytest.mark.integration
def test_files_that_are_not_images_are_dead_letters_and_stay_while_images_are_tagged_and_deleted(
    traffic: Path, truth: dict[str, Any]
) -> None:
    spoil(traffic)
    for _ in range(2):
        assert tag(traffic, "--delete_originals") == truth["totals"]
        assert names(traffic) == sorted(BROKEN)
        letters = dead_letters(traffic.parent / "out")
        reasons = {Path(letter["payload"]).name: letter["error_message"] for letter in letters}
        assert {name: text.partition(" (")[0].partition("; ")[0] for name, text in reasons.items()} == BROKEN
        assert {(letter["step"].partition(" ")[0], letter["attempts"]) for letter in letters} == {("Blur", 1)}
        assert len(names(traffic.parent / "out" / "blurred")) == IMAGES
    assert "notes.txt</b><span>the file is not a JPEG" in (traffic.parent / "out" / "index.html").read_text()


@pytest.mark.integration
def test_no_original_is_deleted_while_one_image_is_still_worked_on(traffic: Path, truth: dict[str, Any]) -> None:
    originals = names(traffic)
    os.mkfifo(traffic / "endless.png")  # Reading it waits for a writer.
    process = started(traffic)
    try:
        blurred = traffic.parent / "out" / "blurred"
        wait_until(lambda: blurred.exists() and names(blurred) == originals, "all others blurred")
        assert set(originals) < set(names(traffic))
        (traffic / "endless.png").write_bytes(b"no image")
        assert process.wait(timeout=120) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert names(traffic) == ["endless.png"]
    assert json.loads((traffic.parent / "out" / "summary.json").read_bytes()) == truth["totals"]


def test_originals_are_deleted_after_the_join_only() -> None:
    p = beam.Pipeline("FnApiRunner")
    build(p, ImageTaggingOptions(images="/images/*", output="/out", delete_originals=True))
    edges = {(edge.source, edge.target) for edge in Flow.of(p).edges if edge.kind == DATA}
    steps = ("Delete", "Copy", "Gather", "Join")
    before = {step: {source for source, target in edges if target == step} for step in steps}
    entrances = {"Look", "Blur 0", "Blur 1"}
    assert before == {"Delete": {"Copy"}, "Copy": {"Gather"}, "Gather": {"Join"}, "Join": entrances}


@pytest.mark.integration
def test_runs_that_were_killed_at_work_and_during_deletion_end_with_the_same_totals(
    traffic: Path, truth: dict[str, Any]
) -> None:
    blurred = traffic.parent / "out" / "blurred"
    moments: tuple[Callable[[], bool], ...] = (
        lambda: blurred.exists() and len(list(blurred.glob("scene*"))) >= IMAGES // 2,
        lambda: len(names(traffic)) < IMAGES,
        lambda: len(names(traffic)) == 0,
    )
    for moment in moments:
        process = started(traffic)
        wait_until(lambda: moment() or process.poll() is not None, "its moment")  # noqa: B023
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert {*names(traffic), *(names(blurred))} >= set(truth["images"]), "each image exists, or its copy"
    assert tag(traffic, "--delete_originals") == truth["totals"]
    assert names(traffic) == []
    assert names(blurred) == sorted(truth["images"])
    assert {read(path).pixels.shape for path in blurred.iterdir()} == {(720, 1280, 3)}
    assert dead_letters(traffic.parent / "out") == []


@pytest.mark.integration
def test_prism_gives_the_same_results(traffic: Path, truth: dict[str, Any], prism_endpoint: str) -> None:
    spoil(traffic)
    prism = ["--runner=PortableRunner", f"--job_endpoint={prism_endpoint}", "--environment_type=LOOPBACK"]
    assert tag(traffic, "--delete_originals", "--shards=2", *prism) == truth["totals"]
    assert names(traffic) == sorted(BROKEN)
    assert len(dead_letters(traffic.parent / "out")) == len(BROKEN)


@pytest.mark.integration
def test_an_image_that_replaced_an_original_is_not_deleted_and_is_blurred_itself(tmp_path: Path) -> None:
    album, image = Album(str(tmp_path), str(tmp_path / "out")), str(tmp_path / "a.png")
    scene(3)[0].save(image)
    assert not album.is_blurred(image)
    with pytest.raises(ChangedError, match="this image stays"):
        Deleter(album)(image)
    blurrer(album)(image)
    assert album.is_blurred(image)
    scene(4)[0].save(image)
    assert not album.is_blurred(image)
    with pytest.raises(ChangedError, match="this image stays"):
        Deleter(album)(image)
    with (
        pytest.raises(ChangedError, match="another image replaced"),
        album.new_copy(image, modified=1) as partial,
    ):
        partial.write_bytes(b"of the image before")
    assert names(tmp_path / "out" / "blurred") == ["a.png"]
    blurrer(album)(image)
    Deleter(album)(image)
    assert album.is_blurred(image) and Deleter(album).is_done(image)
    assert list(album.images_of_copies()) == [image]
    assert sum(tagger(album)(image).vehicles.values()) == len(scene(4)[1])


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (1280, 720)])
def test_no_vehicles_are_found_in_an_empty_image(tmp_path: Path, size: tuple[int, int]) -> None:
    for name, mode in (("a.png", "L"), ("b.png", "P"), ("c.png", "RGBA"), ("d.tif", "I;16")):
        Image.new(mode, size, 0).save(tmp_path / name)
        assert find_vehicles(read(tmp_path / name).pixels) == []


@pytest.mark.integration
def test_an_image_that_would_fill_the_memory_is_an_error(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(BrokenImageError, match="decompression bomb"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--images", "gs://b/*.png", "--output", "out"], "--images: 'gs://b/*.png' is not a path on this machine"),
        (["--images", "/i/*.png", "--output", "/i"], "--output: results in /i would overwrite the images"),
        (["--images", "/i/**", "--output", "/i/o"], "--output: results in /i/o would overwrite the images"),
        (["--images", "/i", "--output", "/o", "--shards", "0"], "--shards: 0 is not between 1 and 64"),
    ],
)
def test_wrong_options_are_errors_before_anything_starts(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        ImageTaggingOptions.parse(arguments)
    assert str(error.value).startswith(sentence)


@pytest.mark.integration
def test_a_run_without_images_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--images", str(tmp_path / "*.png"), "--output", str(tmp_path / "out")]) == 1
    assert f"--images: no file matches {tmp_path}/*.png; check the path" in capsys.readouterr().err
