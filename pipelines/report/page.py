"""A run as one self-contained HTML page. Whatever came from outside is escaped, in one place."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

from beam_patterns.transforms.balance import Balance, Step

from .flow import Flow
from .letters import Kind
from .picture import svg
from .produced import Image
from .style import SCRIPT, STYLE

__all__ = ["Report", "render"]

#: So much of a payload is shown; all of it can be saved from the page.
_SHOWN = 2000
#: Control characters, which a browser leaves out.
_UNSEEN = {number: f"\\x{number:02x}" for number in (*range(9), *range(11, 32), 127)}


class Times(NamedTuple):
    """The seconds that a step took for an element; for one of a batch, its share of the batch's."""

    p50: float
    p95: float


class Report(NamedTuple):
    """Everything the page shows."""

    name: str
    summary: str
    started: str
    seconds: float
    flow: Flow
    balance: Balance
    kinds: list[Kind]
    kinds_known: bool
    """Whether the runner told them."""
    replay: str
    """The command that sends dead letters back, without the condition; empty if they lie nowhere."""
    parameters: Mapping[str, str]
    versions: Mapping[str, str]
    places: Mapping[str, str]
    images: Iterable[Image] = ()
    times: Mapping[str, Times] = {}
    error: str = ""


def render(report: Report) -> str:
    """The page."""
    parts = [
        _head(report),
        f'<h2>Flow</h2><div class="wide">{svg(report.flow)}</div>',
        "<h2>Steps</h2>" + _steps(report),
        "<h2>Dead letters</h2>" + _letters(report),
        "<h2>What was produced</h2>" + _table(("", "where"), report.places) + _images(report.images),
        "<h2>Parameters</h2>" + _table(("parameter", "value"), report.parameters),
        "<h2>Versions</h2>" + _table(("", "version"), report.versions),
    ]
    body = "\n".join(parts)
    title = escape(f"{report.name}, {report.started}")
    # The policy lets nothing in from outside, whatever should be in the page after all.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n<script>{SCRIPT}</script></body></html>\n"
    )


def _head(report: Report) -> str:
    lines = [f"<h1>{escape(report.name)}</h1>", f'<p class="soft">{escape(report.summary)}</p>']
    lines.append(f'<p class="soft">{escape(report.started)}, {report.seconds:,.1f} s</p>')
    if report.error:
        lines.append(f'<p class="bad">{escape(report.error)}</p>')
    complaints = list(report.balance.complaints())
    if complaints and not report.error:
        lines += [f'<p class="bad">The balance does not close at {escape(said)}</p>' for said in complaints]
    elif not report.error:
        lines.append('<p class="good">The balance closes: in = out + dropped + dead + duplicates at every step.</p>')
    return "\n".join(lines)


def _steps(report: Report) -> str:
    timed = bool(report.times)
    names = ["step", "in", "out", "dropped", "dead", "duplicates", "items/s", *(["p50", "p95"] if timed else [])]
    rows = [_row(step, report, timed) for step in report.balance.steps]
    heads = "".join(f"<th>{name}</th>" for name in names) + '<th class="text">of which</th>'
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(rows)}</table></div>'


def _row(step: Step, report: Report, timed: bool) -> str:
    came = step.out if step.came is None else step.came
    cells = [f"<td>{escape(step.label)}</td>", f"<td>{'' if step.came is None else f'{step.came:,}'}</td>"]
    for name in ("out", "dropped", "dead", "duplicates"):
        number = getattr(step, name)
        bad = ' class="bad"' if name == "dead" and number else ""
        cells.append(f"<td{bad}>{f'{number:,}' if number or name == 'out' else ''}</td>")
    cells.append(f"<td>{came / report.seconds:,.0f}</td>" if report.seconds and came else "<td></td>")
    if timed:
        times = report.times.get(step.label)
        cells += [f"<td>{_duration(times[i]) if times else ''}</td>" for i in (0, 1)]
    branches = ", ".join(f"{name} {count:,}" for name, count in step.branches if count)
    bad = ' class="bad"' if step.missing else ""
    return f'<tr{bad}>{"".join(cells)}<td class="text">{escape(branches)}</td></tr>'


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


def _letters(report: Report) -> str:
    if not report.kinds_known:
        return '<p class="soft">This runner works elsewhere; see the dead-letter queue, or replay with --dry_run.</p>'
    if not report.kinds:
        return '<p class="good">None.</p>'
    return "".join(_kind(i, kind, report.replay) for i, kind in enumerate(report.kinds))


def _kind(index: int, kind: Kind, replay: str) -> str:
    letter = kind.example
    said = escape(f"{letter.step}: {letter.error_type}: {letter.error_message.partition(chr(10))[0][:300]}")
    facts = {
        "fingerprint": kind.fingerprint,
        "from": letter.source,
        "key": _text(letter.key),
        "attempts": str(letter.attempts),
        **{name: _text(value) for name, value in letter.attributes},
    }
    return (
        f"<details><summary><b>{kind.number:,}</b> {said}</summary>{_table(('', 'an example'), facts)}"
        f"{_payload(f'payload-{index}', letter.payload)}"
        f"<p>Where it was raised:</p><pre>{escape(letter.traceback) or 'unknown'}</pre>"
        f"{_command(kind.fingerprint, replay)}</details>"
    )


def _command(fingerprint: str, replay: str) -> str:
    if not replay:
        return ""
    command = f"""{replay} --where 'fingerprint == "{fingerprint}"'"""
    return f"<p>To send them back, once the cause is mended:</p><pre>{escape(command)}</pre>"


def _payload(name: str, payload: bytes | None) -> str:
    """The beginning as text, and all bytes in base64, which no payload can break out of."""
    if payload is None:
        return "<p>No payload (a tombstone).</p>"
    cut = f", the first {_SHOWN:,} characters of" if len(payload) > _SHOWN else ""
    data = b64encode(payload).decode()
    return (
        f'<p>Payload{cut}{"" if cut else ","} {len(payload):,} bytes <button data-of="{name}">save all</button></p>'
        f'<pre class="payload">{escape(_text(payload[: 4 * _SHOWN])[:_SHOWN])}</pre>'
        f'<script type="text/plain" id="{name}">{data}</script>'
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace").translate(_UNSEEN)


def _table(heads: tuple[str, str], rows: Mapping[str, str]) -> str:
    if not rows:
        return '<p class="soft">Nothing.</p>'
    cells = "".join(
        f'<tr><td>{escape(name)}</td><td class="text">{escape(value)}</td></tr>' for name, value in rows.items()
    )
    head = "".join(f'<th class="text">{escape(head)}</th>' for head in heads)
    return f'<div class="wide"><table><tr>{head}</tr>{cells}</table></div>'


def _images(images: Iterable[Image]) -> str:
    figures = "".join(
        f'<figure><img alt="" src="data:{image.kind};base64,{b64encode(image.data).decode()}">'
        f"<figcaption>{escape(image.name)}</figcaption></figure>"
        for image in images
    )
    return f'<div class="images">{figures}</div>' if figures else ""
