"""The page's look and the little it does; no network, light and dark, wide and narrow."""

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5c6670; --line: #d5dae0; --paper: #fff; --card: #f6f8fa;
  --good: #1a7f37; --bad: #c62828; --step: #eaf1fb; --edge: #7b8794; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --line: #3a424b; --paper: #14181d;
  --card: #1d232a; --good: #56d364; --bad: #ff7b72; --step: #203047; --edge: #8894a0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.2rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; } th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, td.text, th.text { text-align: left; } td.text { white-space: normal; min-width: 14rem;
  overflow-wrap: anywhere; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .9rem;
  margin: .6rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; } summary b { color: var(--bad); }
pre { overflow: auto; max-height: 22rem; padding: .6rem; margin: .4rem 0; border: 1px solid var(--line);
  border-radius: 6px; background: var(--paper); font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
button { font: inherit; padding: .2rem .7rem; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; }
.images figure { margin: 0; } .images img { width: 100%; border-radius: 6px; display: block; }
.images figcaption { font-size: 12px; color: var(--soft); overflow-wrap: anywhere; }
svg text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: var(--ink); }
svg rect { fill: var(--step); stroke: var(--line); } svg .kind { fill: var(--soft); font-size: 11px; }
svg .failing rect { fill: transparent; stroke: var(--bad); } svg .way { fill: none; stroke: var(--edge);
  stroke-width: 1.4; } svg .way.dead { stroke: var(--bad); stroke-width: 2; }
svg .way.control { stroke-dasharray: 3 4; }
svg .way.none { stroke: var(--line); } svg .head { fill: var(--edge); } svg .head.dead { fill: var(--bad); }
svg .head.none { fill: var(--line); } svg .count.dead { fill: var(--bad); font-weight: 600; }
@media (max-width: 40rem) { body { padding: .8rem; font-size: 14px; } th, td { padding: .3rem .45rem; } }
"""

#: Saves a payload with all its bytes, which the page holds in base64.
SCRIPT = """
for (const button of document.querySelectorAll("button[data-of]")) button.onclick = () => {
  const text = atob(document.getElementById(button.dataset.of).textContent);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([Uint8Array.from(text, c => c.charCodeAt(0))]));
  link.download = button.dataset.of + ".bin";
  link.click();
};
"""
