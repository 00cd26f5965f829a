"""A page that shows what was made of files: a card each, and why others have none. No script or font from elsewhere."""

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from beam_patterns.transforms import DeadLetter
from beam_patterns.transforms.extend import replaced_file

__all__ = ["PAGE", "Gallery"]

PAGE = "index.html"


class Gallery(NamedTuple):
    """Everything in the page; `cards` and `facts` are HTML, everything else is text."""

    title: str
    summary: str
    cards: Iterable[str]
    failed: str
    """The heading above what has no card."""
    letters: Iterable[DeadLetter]
    facts: str = ""

    def write(self, folder: Path) -> str:
        """The page's path, whole or not at all."""
        page = _TEMPLATE.format(
            title=escape(self.title),
            summary=escape(self.summary),
            facts=self.facts,
            cards="".join(f"<li>{card}</li>\n" for card in self.cards),
            failed="".join(self._failures()),
        )
        with replaced_file(folder / PAGE) as partial:
            partial.write_text(page, encoding="utf-8")
        return str(folder / PAGE)

    def _failures(self) -> Iterator[str]:
        reasons = sorted({(_text(letter.payload), letter.error_message) for letter in self.letters})
        if reasons:
            yield f'<h2>{escape(self.failed)}</h2>\n<ul class="failed">\n'
            for item, reason in reasons:
                yield f"<li><b>{escape(item)}</b><span>{escape(reason)}</span></li>\n"
            yield "</ul>\n"


def _text(payload: bytes | None) -> str:
    return (payload or b"").decode("utf-8", "replace")


_TEMPLATE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
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
.facts {{ display: flex; flex-wrap: wrap; gap: .5rem; margin: 0 0 1.25rem; }}
.facts li {{ padding: .2rem .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 1rem; }}
.cards {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }}
.cards li {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }}
.cards a {{ display: block; color: inherit; text-decoration: none; }}
.cards a:focus-visible {{ outline: 3px solid #2563eb; outline-offset: -3px; }}
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
<h1>{title}</h1>
<p>{summary}</p>
{facts}<ul class="cards">
{cards}</ul>
{failed}</html>
"""
