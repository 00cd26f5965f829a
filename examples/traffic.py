"""Writes images of traffic, seen from the back, and a description of what they show.

    python examples/traffic.py --folder tmp/traffic --count 40

writes tmp/traffic/images/scene-000.png, scene-001.jpg, ... and tmp/traffic/truth.json: the vehicles in each image with
type, colour, plate and positions (left, top, right, bottom), and the totals. The same seed gives the same images: cars,
trucks, buses and motorcycles, by day and in the evening. Needs Pillow and numpy.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = (1280, 720)
COLORS = {
    "white": (236, 236, 233),
    "silver": (168, 171, 175),
    "black": (25, 25, 29),
    "red": (186, 34, 40),
    "yellow": (228, 188, 38),
    "green": (38, 122, 70),
    "blue": (38, 74, 164),
}
_ROAD, _MARK, _GLASS, _TYRE, _LAMP = (98, 100, 103), (214, 214, 208), (44, 62, 82), (16, 16, 17), (214, 58, 46)
_PAPER, _INK = (240, 240, 236), (12, 12, 14)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_COLUMNS, _ROWS, _MAX_VEHICLES = 4, 2, 5
#: Images are drawn this many times larger and then reduced, for smooth edges.
_FINE = 2

Box = tuple[int, int, int, int]


class Vehicle(NamedTuple):
    """A vehicle as it was drawn; boxes are left, top, right, bottom."""

    type: str
    color: str
    plate: str
    box: Box
    plate_box: Box


def scene(seed: int, plates: int | None = None) -> tuple[Image.Image, list[Vehicle]]:
    """An image and its vehicles. Another seed for `plates` changes nothing but the text of the plates."""
    chance, letters = random.Random(seed), random.Random(seed if plates is None else plates)
    picture = Image.new("RGB", (SIZE[0] * _FINE, SIZE[1] * _FINE), _ROAD)
    draw = ImageDraw.Draw(picture)
    _mark_lanes(draw)
    places = chance.sample(range(_COLUMNS * _ROWS), chance.randint(1, _MAX_VEHICLES))
    vehicles = [_put(draw, chance, letters, place) for place in sorted(places)]
    small = picture.resize(SIZE, Image.Resampling.BOX)
    return _photographed(small, seed, light=chance.uniform(0.75, 1.05)), vehicles


def _mark_lanes(draw: ImageDraw.ImageDraw) -> None:
    for column in range(1, _COLUMNS):
        x = SIZE[0] * column // _COLUMNS
        for y in range(20, SIZE[1], 120):
            _box(draw, (x - 4, y, x + 4, y + 60), _MARK)


def _put(draw: ImageDraw.ImageDraw, chance: random.Random, letters: random.Random, place: int) -> Vehicle:
    """Draws a vehicle at a random position in its part of the road."""
    row, column = divmod(place, _COLUMNS)
    kind, color = chance.choice(list(_DRAWN)), chance.choice(list(COLORS))
    (wide, high), (plate_wide, plate_high), above, drawn = _DRAWN[kind]
    scale = chance.uniform(0.85, 0.95) + 0.15 * row
    middle = SIZE[0] * (2 * column + 1) // (2 * _COLUMNS) + chance.randint(-25, 25)
    bottom = SIZE[1] * (row + 1) // _ROWS - chance.randint(12, 40)

    def at(left: float, top: float, right: float, low: float) -> Box:
        """A box from distances to the middle of the vehicle and to the road."""
        return (
            round(middle + left * scale),
            round(bottom - top * scale),
            round(middle + right * scale),
            round(bottom - low * scale),
        )

    drawn(draw, at, COLORS[color])
    plate = at(-plate_wide / 2, above + plate_high, plate_wide / 2, above)
    text = _draw_plate(draw, plate, letters)
    return Vehicle(kind, color, text, at(-wide / 2, high, wide / 2, 0), plate)


def _car(draw: ImageDraw.ImageDraw, at: Any, paint: Any) -> None:
    for side in (-1, 1):
        _box(draw, at(side * 76 - 16, 34, side * 76 + 16, 0), _TYRE)
    corners = [at(x, y, 0, 0)[:2] for x, y in ((-84, 90), (-62, 150), (62, 150), (84, 90))]
    draw.polygon([(x * _FINE, y * _FINE) for x, y in corners], paint)
    corners = [at(x, y, 0, 0)[:2] for x, y in ((-68, 95), (-53, 140), (53, 140), (68, 95))]
    draw.polygon([(x * _FINE, y * _FINE) for x, y in corners], _GLASS)
    _box(draw, at(-95, 94, 95, 16), paint, 14)
    _lamps(draw, at, 78, 78)


def _bus(draw: ImageDraw.ImageDraw, at: Any, paint: Any) -> None:
    for side in (-1, 1):
        _box(draw, at(side * 76 - 15, 30, side * 76 + 15, 0), _TYRE)
    _box(draw, at(-100, 270, 100, 14), paint, 16)
    _box(draw, at(-84, 246, 84, 140), _GLASS, 8)
    _lamps(draw, at, 84, 84)


def _truck(draw: ImageDraw.ImageDraw, at: Any, paint: Any) -> None:
    for side in (-1, 1):
        _box(draw, at(side * 72 - 22, 44, side * 72 + 22, 0), _TYRE)
    _box(draw, at(-100, 250, 100, 30), paint)
    shade = tuple(round(part * 0.75) for part in paint)
    _box(draw, at(-2, 246, 2, 92), shade)  # Two doors.
    _lamps(draw, at, 80, 70)


def _motorcycle(draw: ImageDraw.ImageDraw, at: Any, paint: Any) -> None:
    _box(draw, at(-13, 60, 13, 0), _TYRE, 6)
    _box(draw, at(-34, 86, 34, 26), paint, 10)
    _box(draw, at(-45, 128, 45, 84), paint, 12)  # Jacket and handlebars.
    left, top, right, low = at(-20, 172, 20, 126)
    draw.ellipse((left * _FINE, top * _FINE, right * _FINE, low * _FINE), paint)


def _lamps(draw: ImageDraw.ImageDraw, at: Any, out: int, above: int) -> None:
    for side in (-1, 1):
        _box(draw, at(side * out - 9, above, side * out + 9, above - 22), _LAMP, 3)


#: Width and height of a vehicle, width and height of its plate, height of the plate above the road, drawing function.
_DRAWN = {
    "car": ((190, 150), (92, 22), 34, _car),
    "truck": ((200, 250), (92, 22), 52, _truck),
    "bus": ((200, 270), (92, 22), 40, _bus),
    "motorcycle": ((90, 172), (46, 18), 50, _motorcycle),
}


def _draw_plate(draw: ImageDraw.ImageDraw, box: Box, letters: random.Random) -> str:
    """Draws black text on white with a frame; returns the text, whose length depends on the width."""
    number = f"{letters.randint(10, 99)}"
    if box[2] - box[0] > 60:
        number = f"{''.join(letters.choices(_LETTERS, k=2))} {number}{letters.randint(10, 99)}"
    text = f"{letters.choice(_LETTERS)}-{number}"
    _box(draw, box, _PAPER, 2, _INK)
    left, top, right, low = (part * _FINE for part in box)
    font = ImageFont.load_default((low - top) * 0.78)
    draw.text(((left + right) / 2, (top + low) / 2), text, _INK, font, anchor="mm", stroke_width=0.4)
    return text


def _box(draw: ImageDraw.ImageDraw, box: Box, fill: Any, round_by: int = 0, outline: Any = None) -> None:
    left, top, right, low = (part * _FINE for part in box)
    edges = (left, top, right - 1, low - 1)
    draw.rounded_rectangle(edges, round_by * _FINE, fill, outline, 2 * _FINE if outline else 0)


def _photographed(picture: Image.Image, seed: int, light: float) -> Image.Image:
    """The image as a camera would take it: in more or less light, with grain."""
    grain = np.random.default_rng(seed).normal(0, 3, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(np.clip(np.asarray(picture) * light + grain, 0, 255).round().astype(np.uint8))


def generate(folder: Path, count: int, seed: int = 1) -> dict[str, Any]:
    """Writes images into the subfolder `images`, every other one a JPEG, and truth.json; returns its content."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    truth: dict[str, list[Vehicle]] = {}
    for number in range(count):
        picture, vehicles = scene(seed * 1_000_000 + number)
        name = f"scene-{number:03}.{'jpg' if number % 2 else 'png'}"
        picture.save(images / name, quality=90)
        truth[name] = vehicles
    described = {name: [vehicle._asdict() for vehicle in vehicles] for name, vehicles in truth.items()}
    content = {"totals": totals(list(truth.values())), "images": described}
    (folder / "truth.json").write_text(json.dumps(content, indent=1) + "\n")
    return content


def totals(scenes: Sequence[Sequence[Vehicle]]) -> dict[str, dict[str, int]]:
    """The number of vehicles of each type and colour."""
    vehicles = [vehicle for of in scenes for vehicle in of]
    counts = {"vehicles": Counter(v.type for v in vehicles), "colors": Counter(v.color for v in vehicles)}
    return {name: dict(sorted(count.items())) for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder for the files; created if it does not exist")
    parser.add_argument("--count", type=int, default=40, help="number of images")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    content = generate(given.folder, given.count, given.seed)
    print(f"{given.count:,} images in {given.folder / 'images'}: {json.dumps(content['totals'])}")


if __name__ == "__main__":
    main()
