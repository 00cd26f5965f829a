"""Renditions, from videos to manifests."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from beam_patterns.pipelines.parts.video.folders import OutputFolders
from beam_patterns.pipelines.parts.video.renditions import FHD, MOBILE, RENDITIONS, UHD
from beam_patterns.pipelines.parts.video.workers import Probe, Renderer
from beam_patterns.pipelines.video_renditions import run

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
    played,
    size_of,
    snapshot,
)


@pytest.fixture
def folders(tmp_path: Path) -> OutputFolders:
    (tmp_path / "videos").mkdir()
    return OutputFolders(str(tmp_path / "videos"), str(tmp_path / "out"))


def rendered(folders: OutputFolders, name: str, *arguments: Any, **more: Any) -> tuple:
    """Makes a video with these arguments and plays its mobile rendition."""
    video = make(Path(folders.root, name), *arguments, **more)
    return played(Path(Renderer(folders, MOBILE)(Probe(folders)(str(video)))))


def manifest(output: Path, name: str) -> dict[str, Any]:
    return json.loads((output / name / "manifest.json").read_bytes())


@pytest.mark.parametrize(
    ("size", "needed"),
    [
        ((3840, 2160), ["2160p.mp4", "1080p.mp4", "mobile.mp4"]),
        ((1082, 1920), ["2160p.mp4", "1080p.mp4", "mobile.mp4"]),
        ((1920, 1080), ["1080p.mp4", "mobile.mp4"]),
        ((1280, 720), ["1080p.mp4", "mobile.mp4"]),
        ((854, 480), ["mobile.mp4"]),
        ((2, 2), ["mobile.mp4"]),
    ],
)
def test_a_rendition_is_needed_if_it_shows_more_than_the_next_smaller_one(
    size: tuple[int, int], needed: list[str]
) -> None:
    assert [
        rendition.file for rendition in RENDITIONS if rendition.is_needed({"width": size[0], "height": size[1]})
    ] == needed


@pytest.mark.parametrize("rendition", RENDITIONS)
def test_sizes_are_even_and_in_proportion_and_never_larger(rendition: Any) -> None:
    for width in range(2, 4200, 97):
        for height in range(2, 4200, 89):
            made = rendition.size(width, height)
            assert made[0] % 2 == made[1] % 2 == 0
            assert made[0] <= max(width, 2) and made[1] <= max(height, 2)
            scale = min(rendition.lines / min(width, height), 1)
            assert abs(made[0] - width * scale) < 2 and abs(made[1] - height * scale) < 2
    assert (UHD.size(7680, 4320), FHD.size(1440, 1080)) == ((3840, 2160), (1440, 1080))


@pytest.mark.integration
def test_a_rendition_has_all_frames_and_the_length_and_the_audio(folders: OutputFolders) -> None:
    assert rendered(folders, "a.mp4", (1280, 720)) == (50, (854, 480), 2.0, [("aac", 2.0)])
    assert rendered(folders, "silent.mp4", (320, 240), sound=None) == (50, (320, 240), 2.0, [])
    assert rendered(folders, "one.mp4", (320, 240), frames=1, sound=None) == (1, (320, 240), 0.04, [])


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("vp9.webm", "libvpx-vp9", "libopus"),
        ("mpeg2.ts", "mpeg2video", "mp2"),
        ("adts.ts", "libx264", "aac"),
        ("mpeg4.avi", "mpeg4", "libmp3lame"),
        ("h264.mkv", "libx264", "flac"),
    ],
)
def test_any_codec_becomes_h264_with_aac(folders: OutputFolders, name: str, codec: str, sound: str) -> None:
    frames, size, seconds, ((heard, length),) = rendered(folders, name, (320, 240), codec=codec, sound=sound)
    assert (frames, size, heard) == (50, (320, 240), "aac")
    assert abs(seconds - 2) <= 0.041  # AVI's frames begin at the second tick.
    assert 1.95 <= length <= 2.15  # Codecs pad the beginning and the end by some thousandths of a second.


def test_aac_is_copied_unchanged(folders: OutputFolders) -> None:
    video = make(Path(folders.root, "a.mp4"), (320, 240))
    made = Path(Renderer(folders, MOBILE)(Probe(folders)(str(video))))
    assert _audio_bytes(made) == _audio_bytes(video)


def _audio_bytes(path: Path) -> list[bytes]:
    import av

    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.dts is not None]


def test_audio_and_video_stay_in_sync_when_a_video_starts_late(folders: OutputFolders) -> None:
    made = rendered(folders, "late.ts", (320, 240), options={"output_ts_offset": "3"})
    assert made[:3] == (50, (320, 240), 2.0)
    import av

    with av.open(Path(folders.output, "late.ts", "mobile.mp4")) as container:
        starts = [float(stream.start_time * stream.time_base) for stream in container.streams]
    assert all(abs(start) < 0.1 for start in starts)


@pytest.mark.integration
def test_rotated_and_anamorphic_videos_are_stored_as_they_are_shown(folders: OutputFolders) -> None:
    assert rendered(folders, "left.mp4", (480, 270), rotation=-90)[:2] == (50, (270, 480))
    assert rendered(folders, "right.mp4", (480, 270), rotation=90)[:2] == (50, (270, 480))
    assert rendered(folders, "down.mp4", (480, 270), rotation=180)[:2] == (50, (480, 270))
    assert rendered(folders, "wide.mp4", (360, 288), square=Fraction(16, 15))[:2] == (50, (384, 288))
    assert rendered(folders, "odd.mkv", (161, 121), codec="ffv1", sound=None, pixels="yuv444p")[:2] == (50, (160, 120))
    places = {"left.mp4": (260, 240), "right.mp4": (10, 240), "down.mp4": (240, 260)}
    import av

    for name, place in places.items():  # The place of the bright upper edge of the stored frame.
        with av.open(Path(folders.output, name, "mobile.mp4")) as container:
            assert min(next(container.decode(video=0)).to_image().getpixel(place)) > 200, name


@pytest.mark.integration
def test_every_video_gets_the_renditions_that_it_needs_and_a_manifest(
    tmp_path: Path, folders: OutputFolders, capsys: Any
) -> None:
    videos, output = Path(folders.root), Path(folders.output)
    good = {path.name for path in all_good(videos)}
    bad = {path.name for path in all_bad(videos)}
    assert run(["--videos", str(videos), "--output", str(output)]) == 0
    manifests = {path.parent.name: manifest(output, path.parent.name) for path in output.glob("*/manifest.json")}
    assert set(manifests) == good
    for name, described in manifests.items():
        assert [made["file"] for made in described["renditions"]] == (
            ["1080p.mp4", "mobile.mp4"] if name == "full-hd.mp4" else ["mobile.mp4"]
        )
        for made in described["renditions"]:
            frames, size, seconds, sounds = played(output / name / made["file"])
            assert [made["width"], made["height"], made["seconds"]] == [*size, round(seconds, 3)]
            assert size[0] <= described["width"] and size[1] <= described["height"]
            assert abs(seconds - described["seconds"]) <= 0.04
            assert bool(sounds) == described["sound"]
            assert frames == {"one-frame.mp4": 1, "very-short.mp4": 3, "rare-key-frames.mp4": 500}.get(name, 50)
        assert max(size_of(output / name / "thumbnail.webp")) <= 240
    assert moments(output / "h264.mp4" / "thumbnail.webp") == 12
    assert manifests["full-hd.mp4"]["left_out"] == {"2160p.mp4": "the video has no more than 1080 lines"}
    letters = dead_letters(output)
    assert {Path(d["payload"]).name: d["error_message"] for d in letters if d["step"] == "Probe"} == NO_VIDEOS
    later = {(d["step"], Path(json.loads(d["payload"])["video"]).name): d["error_message"] for d in letters[5:]}
    assert later == {(step, name): why for name, why in CUT_OFF.items() for step in ("Mobile", "Thumbnail")}
    assert bad == {*NO_VIDEOS, *CUT_OFF}

    before = snapshot(output)
    assert run(["--videos", str(videos), "--output", str(output)]) == 0
    assert {name: seen for name, seen in snapshot(output).items() if "manifest" not in name} == {
        name: seen for name, seen in before.items() if "manifest" not in name
    }
    assert {
        path.parent.name: manifest(output, path.parent.name) for path in output.glob("*/manifest.json")
    } == manifests
    assert "skipped 17" in capsys.readouterr().out
    assert run(["--videos", str(videos / "h264.mp4"), "--output", str(output), "--force", "--quiet"]) == 0
    again = {name for name, seen in snapshot(output).items() if seen != before[name] and "manifest" not in name}
    assert again == {"h264.mp4/mobile.mp4", "h264.mp4/thumbnail.webp"}


@pytest.mark.integration
def test_damaged_bytes_cost_a_few_frames_and_not_the_video(folders: OutputFolders) -> None:
    video = make(Path(folders.root, "a.mp4"), frames=250, every=25, sound=None)
    content = bytearray(video.read_bytes())
    third = len(content) // 3
    content[third : third + 1000] = b"\xaa" * 1000
    video.write_bytes(content)
    frames, _, seconds, _ = played(Path(Renderer(folders, MOBILE)(Probe(folders)(str(video)))))
    assert 200 <= frames <= 250 and seconds == 10


@pytest.mark.integration
def test_a_video_that_was_replaced_is_rendered_again(folders: OutputFolders) -> None:
    video = make(Path(folders.root, "a.mp4"), frames=10)
    argv = ["--videos", str(video), "--output", folders.output, "--quiet"]
    assert run(argv) == 0
    make(video, frames=20)
    assert run(argv) == 0
    assert played(Path(folders.output, "a.mp4", "mobile.mp4"))[0] == 20
    assert manifest(Path(folders.output), "a.mp4")["seconds"] == 0.8
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert run(argv) == 0
    assert [d["error_message"] for d in dead_letters(Path(folders.output))] == [NO_VIDEOS["bad-half.mp4"]]


@pytest.mark.integration
def test_a_large_video_gets_every_rendition(folders: OutputFolders) -> None:
    make(Path(folders.root, "uhd.mp4"), (3840, 2160), frames=10)
    make(Path(folders.root, "huge.mp4"), (4096, 2304), frames=5)
    assert run(["--videos", folders.root, "--output", folders.output, "--quiet"]) == 0
    sizes = {
        name: [
            (made["file"], made["width"], made["height"]) for made in manifest(Path(folders.output), name)["renditions"]
        ]
        for name in ("uhd.mp4", "huge.mp4")
    }
    every = [("2160p.mp4", 3840, 2160), ("1080p.mp4", 1920, 1080), ("mobile.mp4", 854, 480)]
    assert sizes == {"uhd.mp4": every, "huge.mp4": every}
    assert manifest(Path(folders.output), "uhd.mp4")["left_out"] == {}


@pytest.mark.soak
@pytest.mark.integration
def test_every_output_is_complete_after_runs_that_were_killed(folders: OutputFolders) -> None:
    output = Path(folders.output)
    names = [make(Path(folders.root, f"{number:02}.mp4"), (640, 360), frames=100).name for number in range(3 * KILLS)]
    killed_at_work("video_renditions", output, "--videos", folders.root, times=KILLS)
    for name in names:
        assert played(output / name / "mobile.mp4") == (100, (640, 360), 4.0, [("aac", 4.0)])
        assert moments(output / name / "thumbnail.webp") == 12
        assert [made["file"] for made in manifest(output, name)["renditions"]] == ["mobile.mp4"]
        left = sorted(path.name for path in (output / name).iterdir())
        assert left == ["manifest.json", "mobile.mp4", "thumbnail.webp"]
    assert dead_letters(output) == []
