"""Thumbnails, from videos to a gallery."""

import json
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import pytest

from beam_patterns.pipelines.parts.video.folders import OutputFolders
from beam_patterns.pipelines.parts.video.frames import shots
from beam_patterns.pipelines.parts.video.source import BrokenVideoError, opened
from beam_patterns.pipelines.parts.video.thumbnails import Thumbnailer
from beam_patterns.pipelines.video_thumbnails import VideoThumbnailsOptions, run

from .videos import (
    CUT_OFF,
    KILLS,
    NO_VIDEOS,
    all_bad,
    all_good,
    dead_letters,
    killed_at_work,
    make,
    moments,
    size_of,
    snapshot,
)


def description(output: Path, video: str) -> dict:
    return json.loads((output / video / "thumbnails.json").read_bytes())


def seconds_of(path: Path, count: int) -> list[float]:
    with opened(str(path)) as source:
        return [round(shot.seconds, 3) for shot in shots(source, count, 64)]


def test_frames_come_from_the_middle_of_equal_parts(tmp_path: Path) -> None:
    video = make(tmp_path / "v.mp4", frames=100)
    assert seconds_of(video, 4) == [0.48, 1.48, 2.48, 3.48]  # 0.5 s is between two frames; the earlier is shown then.


@pytest.mark.integration
def test_a_late_start_and_rare_key_frames_do_not_change_the_frames(tmp_path: Path) -> None:
    expected = [1.64, 5.0, 8.32]
    assert seconds_of(make(tmp_path / "rare.mp4", frames=250, every=250), 3) == expected
    assert seconds_of(make(tmp_path / "often.mp4", frames=250, every=5), 3) == expected
    assert seconds_of(make(tmp_path / "often.mkv", frames=250, every=5), 3) == expected
    late = make(tmp_path / "late.ts", frames=250, every=25, sound=None, options={"output_ts_offset": "3"})
    with opened(str(late)) as source:
        assert source.start == 3
    assert seconds_of(late, 3) == expected


@pytest.mark.integration
def test_frames_show_the_video_at_their_time(tmp_path: Path) -> None:
    video = make(tmp_path / "v.mp4", frames=500, every=100)
    with opened(str(video)) as source:
        for shot in shots(source, 9, 320):
            red = shot.image.getpixel((319, 45))[0]  # Grows from 40 to 200 over the length.
            assert abs(red - (40 + 160 * shot.seconds / 20)) < 8


def test_a_short_video_has_only_its_own_frames(tmp_path: Path) -> None:
    assert seconds_of(make(tmp_path / "one.mp4", frames=1), 12) == [0.0]
    assert seconds_of(make(tmp_path / "three.mp4", frames=3), 12) == [0.0, 0.04, 0.08]
    assert len(seconds_of(make(tmp_path / "twelve.mp4", frames=12), 12)) == 12


@pytest.mark.parametrize(
    ("size", "more", "expected"),
    [
        ((1920, 1080), {}, (320, 180)),
        ((200, 100), {}, (200, 100)),
        ((480, 270), {"rotation": -90}, (180, 320)),
        ((480, 270), {"rotation": 90}, (180, 320)),
        ((480, 270), {"rotation": 180}, (320, 180)),
        ((360, 288), {"square": Fraction(16, 15)}, (320, 240)),
        ((1000, 16), {}, (320, 5)),
    ],
)
def test_frames_keep_the_proportions_people_see_and_are_never_enlarged(
    tmp_path: Path, size: tuple[int, int], more: dict, expected: tuple[int, int]
) -> None:
    video = make(tmp_path / "v.mp4", size, frames=3, **more)
    with opened(str(video)) as source:
        assert [shot.image.size for shot in shots(source, 1, 320)] == [expected]


def test_rotated_videos_are_upright(tmp_path: Path) -> None:
    bright = {0: (160, 5), 180: (160, 174), -90: (174, 160), 90: (5, 160)}  # The upper edge of the stored picture.
    for rotation, place in bright.items():
        video = make(tmp_path / f"{rotation}.mp4", (320, 180), frames=2, rotation=rotation)
        with opened(str(video)) as source:
            (shot, *_) = shots(source, 1, 320)
            assert min(shot.image.getpixel(place)) > 200, rotation


def test_a_folder_contains_everything_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    video = make(tmp_path / "videos" / "a.mp4")
    work = Thumbnailer(OutputFolders(str(tmp_path / "videos"), str(tmp_path / "out")), 4, 160)
    assert not work.is_done(str(video))
    assert work(str(video)) == str(tmp_path / "out" / "a.mp4")
    assert work.is_done(str(video))
    names = ["frame-1.jpg", "frame-2.jpg", "frame-3.jpg", "frame-4.jpg"]
    folder = tmp_path / "out" / "a.mp4"
    assert sorted(p.name for p in folder.iterdir()) == [*names, "preview.webp", "sheet.jpg", "thumbnails.json"]
    assert [size_of(folder / name) for name in names] == [(160, 120)] * 4
    assert size_of(folder / "sheet.jpg") == (2 * 166 + 6, 2 * 126 + 6)
    assert (size_of(folder / "preview.webp"), moments(folder / "preview.webp")) == ((160, 120), 4)
    assert description(tmp_path / "out", "a.mp4")["frames"][0] == {"file": "frame-1.jpg", "seconds": 0.24}
    assert list((tmp_path / "out").iterdir()) == [folder]


def test_thumbnails_are_done_for_this_file_and_these_settings_only(tmp_path: Path) -> None:
    video = make(tmp_path / "a.mp4", frames=4)
    folders = OutputFolders(str(tmp_path), str(tmp_path / "out"))
    Thumbnailer(folders, 4, 160)(str(video))
    assert not Thumbnailer(folders, 3, 160).is_done(str(video))
    assert not Thumbnailer(folders, 4, 100).is_done(str(video))
    (tmp_path / "out" / "a.mp4" / "sheet.jpg").rename(tmp_path / "gone")
    assert not Thumbnailer(folders, 4, 160).is_done(str(video))
    (tmp_path / "gone").rename(tmp_path / "out" / "a.mp4" / "sheet.jpg")
    assert Thumbnailer(folders, 4, 160).is_done(str(video))
    make(video, frames=5)
    assert not Thumbnailer(folders, 4, 160).is_done(str(video))
    Thumbnailer(folders, 3, 160)(str(video))
    assert len(list((tmp_path / "out" / "a.mp4").glob("frame-*"))) == 3


def test_a_raw_stream_is_an_error_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match="its frames have no timestamps"):
        seconds_of(make(tmp_path / "a.h264", sound=None), 3)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.flv", "libx264", "yuv420p"), ("a.gif", "gif", "rgb8"), ("a.wmv", "wmv2", "yuv420p")],
)
def test_formats_that_can_not_seek_are_read_completely(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    video = make(tmp_path / name, frames=100, codec=codec, sound=None, pixels=pixels)
    assert seconds_of(video, 6) == [0.32, 1.0, 1.64, 2.32, 3.0, 3.64]


def test_a_playlist_with_the_name_of_a_video_loads_nothing(tmp_path: Path) -> None:
    secret = make(tmp_path / "secret.ts", codec="mpeg2video")
    for name in ("list.m3u8", "list.mp4"):
        (tmp_path / name).write_text(f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/{secret.name}\n#EXT-X-ENDLIST\n")
        with pytest.raises(BrokenVideoError), opened(str(tmp_path / name)):
            pass


@pytest.mark.integration
def test_every_good_video_gets_its_folder_and_every_bad_one_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, output = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    good = {path.name for path in all_good(videos)}
    bad = {path.name for path in all_bad(videos)}
    assert run(["--videos", str(videos), "--output", str(output), "--frames", "6", "--size", "120"]) == 0
    assert {path.name for path in output.iterdir() if path.is_dir()} == good
    counts = {name: len(description(output, name)["frames"]) for name in good}
    assert counts == dict.fromkeys(good, 6) | {"one-frame.mp4": 1, "very-short.mp4": 3}
    for name in good:
        assert moments(output / name / "preview.webp") == counts[name]
    letters = dead_letters(output)
    reasons = {Path(letter["payload"]).name: letter["error_message"] for letter in letters}
    assert reasons == {**NO_VIDEOS, **CUT_OFF}
    assert set(reasons) == bad
    assert {(letter["step"], letter["attempts"]) for letter in letters} == {("Thumbnails", 1)}
    page = (output / "index.html").read_text()
    assert "a name with spaces, ümlauts &amp; &lt;tags&gt;.mp4" in page
    assert "moov atom not found" in page
    assert "://" not in page
    linked = [unquote(part.partition('"')[0]) for part in page.split('<a href="')[1:]]
    assert sorted(linked) == sorted(f"{name}/sheet.jpg" for name in good)

    before = snapshot(output)
    assert run(["--videos", str(videos), "--output", str(output), "--frames", "6", "--size", "120"]) == 0
    assert snapshot(output) == before
    assert (output / "index.html").read_text() == page
    assert "skipped 17" in capsys.readouterr().out
    assert run(["--videos", f"{videos}/h*.mp4", "--output", str(output), "--frames=6", "--size=120", "--force"]) == 0
    again = {name for name, seen in snapshot(output).items() if seen != before[name]}
    assert {name.partition("/")[0] for name in again} == {"h264.mp4", "hevc.mp4"}
    assert set(snapshot(output)) == set(before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--videos", "/none/*.mp4", "--output", "out", "--frames", "0"], "--frames: 0 is not between 1 and 500"),
        (
            ["--videos", "/none/*.mp4", "--output", "out", "--size", "3"],
            "--size: 3 pixels show nothing; give 16 or more",
        ),
        (["--videos", "gs://b/*.mp4", "--output", "out"], "--videos: 'gs://b/*.mp4' is not a path on this machine"),
        (["--videos", "/v/*.mp4", "--output", "/v"], "--output: results in /v would overwrite the videos"),
        (["--videos", "/v/**/*.mp4", "--output", "/v/o"], "--output: results in /v/o would overwrite the videos"),
    ],
)
def test_wrong_options_are_errors_before_anything_starts(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        VideoThumbnailsOptions.parse(arguments)
    assert str(error.value).startswith(sentence)


def test_a_run_without_videos_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--videos", str(tmp_path / "*.mp4"), "--output", str(tmp_path / "out")]) == 1
    assert f"--videos: no file matches {tmp_path}/*.mp4; check the path" in capsys.readouterr().err


@pytest.mark.integration
def test_videos_in_subfolders_keep_their_paths(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "videos" / folder).mkdir(parents=True)
        make(tmp_path / "videos" / folder / "same.mp4", frames=3)
    assert run(["--videos", f"{tmp_path}/videos/**/*.mp4", "--output", f"{tmp_path}/out", "--quiet"]) == 0
    assert sorted(p.parent.relative_to(tmp_path).as_posix() for p in (tmp_path / "out").rglob("sheet.jpg")) == [
        "out/a/same.mp4",
        "out/b/same.mp4",
    ]


@pytest.mark.soak
@pytest.mark.integration
def test_every_output_is_complete_after_runs_that_were_killed(tmp_path: Path) -> None:
    videos, output = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    names = [make(videos / f"{number:02}.mp4", (960, 540), frames=150, every=150).name for number in range(6 * KILLS)]
    killed_at_work("video_thumbnails", output, "--videos", str(videos), times=KILLS)
    for name in names:
        frames = description(output, name)["frames"]
        assert [size_of(output / name / frame["file"]) for frame in frames] == [(320, 180)] * 12
        assert moments(output / name / "preview.webp") == 12
        assert size_of(output / name / "sheet.jpg")[0] == 3 * 326 + 6
    assert sorted(path.name for path in output.iterdir() if path.is_dir()) == names  # Nothing incomplete is left.
    assert dead_letters(output) == []
