"""Values from outside never become markup or vanish from a page, whatever they contain and wherever they are shown."""

import datetime
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pytest
from apache_beam.transforms.error_handling import ErrorHandler
from jinja2 import UndefinedError
from PIL import Image

from beam_patterns.pipelines.parts.files.gallery import Card, write_gallery
from beam_patterns.pipelines.parts.images.album import Album
from beam_patterns.pipelines.parts.images.summary import write_summary
from beam_patterns.pipelines.parts.images.work import Tags
from beam_patterns.pipelines.parts.sales.page import write_sales_page
from beam_patterns.pipelines.report.recorder import About, Recorder
from beam_patterns.pipelines.runtime.pages import visible, write_page
from beam_patterns.transforms import DeadLetter, DeadLetters, Filter
from beam_patterns.transforms.balance import Balance
from beam_patterns.transforms.queues import Message

MARKUP = "</pre></script><script>alert(1)</script>\"' onload='alert(2)' {{ 7 * 7 }} $x$ _"
HOSTILE = f"{MARKUP}\x00\x1b\x85\u202e\u2066\ufeff&amp;"
SHOWN = rf"{MARKUP}\x00\x1b\x85\u202e\u2066\ufeff&amp;"


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and their text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.text = ""
        self.source = page.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs), dict(attrs).get("class") or ""))

    def handle_data(self, data: str) -> None:
        self.text += data


def write_run(path: Path, name: str) -> None:
    """A report whose labels, outputs, letters, error, parameters, places and images have this name."""
    folder = path.parent / "results"
    folder.mkdir(exist_ok=True)
    p = beam.Pipeline("FnApiRunner")
    with ErrorHandler(f"Dead{name}" >> DeadLetters()) as dead:
        message = Message(name.encode(), key=name.encode(), attributes=((name, name.encode()),), source=(name, 0, 0))
        read = p | f"Read{name}" >> beam.Create([message], reshuffle=False).with_output_types(Message)
        kept = read | f"Keep{name}" >> Filter(failing).with_error_handler(dead)
        tagged = kept | f"Tag{name}" >> beam.Map(str).with_outputs(name, main="main")
        _ = tagged[name] | f"End{name}" >> beam.Map(str)
    recorder = Recorder(str(path), About(name, name, {name: name}), p, {name: name, "images": str(folder)})
    Image.new("RGB", (1, 1)).save(folder / f"{name.replace('/', '').replace(chr(0), '')}.png")
    result = p.run()
    recorder.write(Balance.of(result, p), {}, result, name)


def failing(message: Message) -> bool:
    """Fails with the payload as the message."""
    raise ValueError((message.value or b"").decode())


def write_sales(path: Path, name: str) -> None:
    """A sales page whose regions, products, reasons, time zone and currency have this name."""
    key = (datetime.date(2026, 3, 2), name, name)
    totals, other = (1000, 0, 1, 0, 1), ((key[0], f"{name}2", "tea"), (1, 0, 1, 0, 1))
    pairs = [(key, totals), other]
    options = SimpleNamespace(timezone=name, week_starts=name, currency=name, top=3)
    write_sales_page(path, pairs, pairs, {name: 1}, options)


def write_cards(path: Path, name: str) -> None:
    """A gallery whose cards, totals and failures have this name."""
    card = Card(name, name, f"https://{name}", f"https://{name}", f"https://{name}", name)
    letters = [DeadLetter.of(name.encode(), ValueError(name), step="Work")]
    write_gallery(path.parent, name, name, [card], name, letters, [name])


PAGES: dict[str, Callable[[Path, str], None]] = {"run": write_run, "sales": write_sales, "index": write_cards}


@pytest.mark.integration
@pytest.mark.parametrize("name", PAGES)
def test_hostile_values_change_nothing_but_the_text_of_a_page(name: str, tmp_path: Path) -> None:
    pages = []
    for values in ("harmless", HOSTILE):
        folder = tmp_path / str(len(pages))
        folder.mkdir()
        PAGES[name](folder / f"{name}.html", values)
        pages.append(Structure(folder / f"{name}.html"))
    assert pages[1].elements == pages[0].elements
    assert SHOWN in pages[1].text
    assert pages[1].source == "".join(visible(c) for c in pages[1].source), "no character is invisible"
    assert "<script>alert" not in pages[1].source and "49" not in pages[1].text


def test_names_of_hostile_files_lead_to_the_files(tmp_path: Path) -> None:
    names = ["a b%20c#d?e.png", "<script>alert(1)</script>.png".replace("/", ""), "\u202egnp.exe.png", "q\"uo'te.png"]
    album = Album(str(tmp_path), str(tmp_path))
    tags = [Tags(name, {name: 1}, {}) for name in names]
    page = Structure(Path(write_summary(album, {"vehicles": {}, "colors": {}}, tags, [])))
    links = re.findall(r'<a href="([^"]*)">', page.source)
    assert sorted(links) == [
        "blurred/%3Cscript%3Ealert%281%29%3Cscript%3E.png",
        "blurred/%E2%80%AEgnp.exe.png",
        "blurred/a%20b%2520c%23d%3Fe.png",
        "blurred/q%22uo%27te.png",
    ]
    assert r"\u202egnp.exe.png" in page.text


def test_every_invisible_character_is_shown_as_an_escape_and_every_other_text_stays() -> None:
    assert visible("".join(map(chr, [0, 31, 127, 159, 0x200E, 0x202E, 0x2069, 0xFEFF, 0xD800]))) == (
        r"\x00\x1f\x7f\x9f\u200e\u202e\u2069\ufeff\ud800"
    )
    assert visible("a\tb\nc é 日本 עברית 👩\u200d💻") == "a\tb\nc é 日本 עברית 👩\u200d💻"
    assert [visible(value) for value in (b"\xff", 1, None)] == ["\\xff", 1, None]


def test_a_value_that_a_template_lacks_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        write_page(tmp_path / "page.html", "parts/files/gallery.html", summary="")
    assert list(tmp_path.iterdir()) == []
