"""The page that shows all thumbnails: one file, no script or font from elsewhere, previews and sheets beside it."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from beam_patterns.transforms import DeadLetter

from .folders import replaced_file
from .frames import clock
from .thumbnails import FACTS

__all__ = ["PAGE", "write_gallery"]

PAGE = "index.html"
_POSTER = 320
_TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Videos</title>
<style>
:root {{ --paper: #fafaf9; --card: #fff; --ink: #1c1917; --soft: #57534e; --line: #e7e5e4; --bad: #b91c1c; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #131312; --card: #1f1e1d; --ink: #f5f5f4; --soft: #a8a29e; --line: #35322f; --bad: #fca5a5; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 84rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }}
h1 {{ margin: 0; font-size: 1.5rem; }}
h2 {{ margin: 2.5rem 0 .75rem; font-size: 1.15rem; }}
p {{ margin: .25rem 0 1.25rem; color: var(--soft); }}
ul {{ list-style: none; margin: 0; padding: 0; }}
.videos {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }}
.videos li {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }}
.videos a {{ display: block; color: inherit; text-decoration: none; }}
.videos a:focus-visible {{ outline: 3px solid #2563eb; outline-offset: -3px; }}
.stage {{ position: relative; aspect-ratio: 16/9; background: #0c0a09; }}
.stage img {{ position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }}
.stage .moving {{ opacity: 0; }}
a:hover .moving, a:focus .moving {{ opacity: 1; }}
@media (hover: none) and (prefers-reduced-motion: no-preference) {{ .stage .moving {{ opacity: 1; }} }}
.stage span {{ position: absolute; right: .5rem; bottom: .5rem; padding: 0 .35rem; border-radius: 4px;
  background: #000b; color: #fff; font-size: .8rem; font-variant-numeric: tabular-nums; }}
.name {{ padding: .6rem .75rem 0; font-weight: 600; overflow-wrap: anywhere; }}
.about {{ padding: 0 .75rem .7rem; color: var(--soft); font-size: .875rem; }}
.failed li {{ padding: .6rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }}
.failed b {{ font-weight: 600; }}
.failed span {{ display: block; color: var(--bad); font-size: .9rem; }}
</style>
<h1>Videos</h1>
<p>{summary}</p>
<ul class="videos">
{videos}</ul>
{failed}</html>
"""


def write_gallery(output: str, failed: Iterable[DeadLetter]) -> str:
    """Shows every video that has its thumbnails in the output folder, and why others have none; the page's path."""
    root = Path(output)
    found = sorted(root.rglob(FACTS))
    complete = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    cards = [card for path in complete for card in _cards(root, path)]
    reasons = sorted({((letter.payload or b"").decode("utf-8", "replace"), letter.error_message) for letter in failed})
    page = _TEMPLATE.format(
        summary=_summary(len(cards), len(reasons)), videos="".join(cards), failed="".join(_failures(reasons))
    )
    with replaced_file(root / PAGE) as partial:
        partial.write_text(page, encoding="utf-8")
    return str(root / PAGE)


def _cards(root: Path, path: Path) -> Iterator[str]:
    folder = path.parent
    try:
        facts = json.loads(path.read_bytes())
        poster = _inlined(folder / facts["frames"][len(facts["frames"]) // 2]["file"])
    except OSError:  # Made anew by another run at this moment.
        return
    at = quote(folder.relative_to(root).as_posix())
    yield (
        f'<li><a href="{at}/{facts["sheet"]}"><div class="stage"><img src="{poster}" alt="">'
        f'<img class="moving" loading="lazy" src="{at}/{facts["preview"]}" alt="">'
        f'<span>{clock(facts["seconds"])}</span></div><div class="name">{escape(facts["video"])}</div>'
        f'<div class="about">{_about(facts)}</div></a></li>\n'
    )


def _about(facts: dict[str, Any]) -> str:
    count = len(facts["frames"])
    return f"{facts['width']} × {facts['height']}, {count} {'frame' if count == 1 else 'frames'}"  # noqa: RUF001


def _inlined(picture: Path) -> str:
    """Small and in the page itself, so that the page can be passed on alone."""
    from PIL import Image

    small, data = Image.open(picture), io.BytesIO()
    small.thumbnail((_POSTER, _POSTER))
    small.save(data, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _failures(reasons: list[tuple[str, str]]) -> Iterator[str]:
    if reasons:
        yield '<h2>No thumbnails of these</h2>\n<ul class="failed">\n'
        for video, reason in reasons:
            yield f"<li><b>{escape(video)}</b><span>{escape(reason)}</span></li>\n"
        yield "</ul>\n"


def _summary(videos: int, failed: int) -> str:
    count = f"{videos:,} {'video' if videos == 1 else 'videos'}"
    told = f"{count}. Point at one to see it move, open it for its contact sheet."
    return f"{told} {failed:,} could not be shown, see below." if failed else told
