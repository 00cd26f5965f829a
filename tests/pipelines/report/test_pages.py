"""The pages that pipelines write, in a real browser: everything is visible, no value runs, nothing is cut off."""

from base64 import b64decode
from pathlib import Path

import pytest

from beam_patterns.pipelines.parts.images.album import Album
from beam_patterns.pipelines.parts.images.summary import write_summary
from beam_patterns.pipelines.parts.images.work import blurrer, tagger
from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.queues import Message
from tests.pipelines.test_image_tagging import scene
from tests.pipelines.test_sales_report import generated, report
from tests.servers import wait_until
from tests.servers.chromium import Browser, Page

from .test_hostile_values import HOSTILE, PAGES
from .test_report import AWKWARD, MARKUP, page_of

pytestmark = pytest.mark.integration

#: Whether the page can be read without horizontal scrolling.
FITS = "document.scrollingElement.scrollWidth <= innerWidth"
CHARTS = "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect()).filter(r => r.width && r.height)"
#: Every element that a payload could have added to run, load or handle something.
ALIVE = """[...document.querySelectorAll('*')].filter(
    e => e.tagName == 'SCRIPT' && e.type != 'text/plain' || e.tagName == 'IMG' && !e.src.startsWith('data:')
      || [...e.attributes].some(a => a.name.startsWith('on'))).map(e => e.tagName)"""


def fits_everywhere(page: Page, path: Path) -> None:
    """Asserts that a page fits a desktop and a phone and has readable colours, light and dark."""
    for width in (1200, 390):
        for scheme in ("light", "dark"):
            page.looks(width, scheme)
            page.open(path)
            page.ask("document.querySelectorAll('details').forEach(kind => kind.open = true)")
            assert page.ask(FITS), f"wider than {width}"
            assert page.ask("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
            ink, paper = (page.ask(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
            assert (brightness(ink) > 200, brightness(paper) < 40) == (scheme == "dark", scheme == "dark")


def brightness(color: str) -> float:
    """The mean of the components of rgb(1, 2, 3)."""
    return sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(","))) / 3


def test_awkward_payloads_are_text_and_can_be_saved_byte_for_byte(tmp_path: Path, browser: Browser) -> None:
    failing = [Message(payload, key=b"%d" % i) for i, payload in enumerate(AWKWARD)]
    attributed = Message(MARKUP, key=b"markup", attributes=(("<img src=x onerror=alert(2)>", MARKUP),))
    page_of(tmp_path, *failing, attributed, images=str(tmp_path))
    with browser.page() as page:
        fits_everywhere(page, tmp_path / "out.html")
        assert page.ask("document.title").startswith("reported, ")
        assert page.ask(ALIVE) == ["SCRIPT"], "the script of the page itself"
        shown = page.ask("[...document.querySelectorAll('pre.payload')].map(pre => pre.innerText)")
        assert shown.count(MARKUP.decode()) == 2
        assert "\\xff\\xfe\\x00 not UTF-8" in shown
        held = page.ask("[...document.querySelectorAll('script[type]')].map(script => script.textContent)")
        assert sorted(map(b64decode, held)) == sorted([*AWKWARD, MARKUP])
        largest = max(range(len(held)), key=lambda i: len(held[i]))
        page.ask(f"document.querySelector('[data-of=payload-{largest}]').click()")
        saved = browser.downloads / f"payload-{largest}.bin"
        wait_until(saved.exists, "the download")
        assert saved.read_bytes() == max(AWKWARD, key=len)
        assert page.ask(f"{CHARTS}.length") == 1, "the flow"
        assert page.complaints == []


def test_the_sales_report_has_charts_in_the_colours_that_the_viewer_prefers(tmp_path: Path, browser: Browser) -> None:
    generated(tmp_path, "--count", "2000")
    path = report(tmp_path) / "report.html"
    with browser.page() as page:
        fits_everywhere(page, path)
        assert page.ask(ALIVE) == []
        for scheme, blue in {"light": "rgb(37, 99, 235)", "dark": "rgb(110, 168, 254)"}.items():
            page.looks(1200, scheme)
            assert page.ask(f"{CHARTS}.map(chart => chart.width > 400 && chart.height > 150)") == [True] * 3
            fills = "[...document.querySelectorAll('svg path')].map(path => getComputedStyle(path).fill)"
            assert page.ask(f"{fills}.filter(fill => fill == '{blue}').length") > 10, "columns and bars"
        assert page.complaints == []


def test_a_gallery_shows_every_image_and_names_as_text(tmp_path: Path, browser: Browser) -> None:
    album, names = Album(str(tmp_path), str(tmp_path / "out")), ["a b&c.png", "<img src=x onerror=alert(1)>.jpg"]
    for name in names:
        scene(3)[0].save(tmp_path / name)
    tags = [tagger(album)(blurrer(album)(str(tmp_path / name))) for name in names]
    failed = DeadLetter.of(MARKUP, ValueError(MARKUP.decode()), step="Blur")
    path = write_summary(album, {"vehicles": {"car": 1}, "colors": {}}, tags, [failed])
    with browser.page() as page:
        fits_everywhere(page, Path(path))
        page.ask("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        page.ask("Promise.all([...document.images].map(image => image.decode()))")
        assert page.ask("[...document.images].map(image => image.naturalWidth)") == [1280, 1280]
        assert page.ask("[...document.querySelectorAll('.name')].map(name => name.innerText)") == sorted(names)
        assert page.ask("document.querySelector('.failed b').innerText") == MARKUP.decode()
        assert page.ask("document.scripts.length") == 0
        assert page.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_hostile_values_neither_run_nor_load_anything_nor_break_a_page(
    name: str, tmp_path: Path, browser: Browser
) -> None:
    path = tmp_path / f"{name}.html"
    PAGES[name](path, HOSTILE)
    with browser.page() as page:
        fits_everywhere(page, path)
        assert page.ask(ALIVE) == {"run": ["SCRIPT"], "sales": [], "index": ["IMG", "IMG"]}[name]
        assert page.ask("document.title.includes('</script>')") is (name != "sales")
        assert [text for text in page.complaints if "ERR_NAME_NOT_RESOLVED" not in text] == []


def test_the_policy_of_a_report_stops_a_script_that_was_added_to_it(tmp_path: Path, browser: Browser) -> None:
    page_of(tmp_path, Message(b"1"))
    path = tmp_path / "out.html"
    path.write_text(path.read_text().replace("<h1>", "<script>alert(1)</script><img src=x onerror=alert(2)><h1>"))
    with browser.page() as page:
        page.open(path)
        assert len(page.complaints) == 3
        assert all("violates the following Content Security Policy" in text for text in page.complaints)


def test_the_browser_reports_everything_that_goes_wrong_in_a_page(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "bad.html").write_text(
        "<body style='width: 2000px'><script>alert(1); console.error('oops'); nothing()</script><img src='gone.png'>"
    )
    with browser.page() as page:
        page.looks(390, "light")
        page.open(tmp_path / "bad.html")
        assert not page.ask(FITS)
        kinds = [complaint.partition(":")[0] for complaint in page.complaints]
        assert sorted(set(kinds)) == ["alert", "console.error", "error", "exception"]
