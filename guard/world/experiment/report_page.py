"""The report as one HTML file: no script, nothing fetched, light and dark, for a phone, a screen and paper."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from guard.world.experiment.drawing import printable
from guard.world.experiment.report_blocks import Block, Bullets, Command, Plot, Section, Table, Text

_LIGHT = (
    "--paper:#fff;--ink:#1c1c1e;--soft:#5c5c62;--grid:#e0e0e4;--edge:#c4c4ca;--shade:#f1e3e0;--met:#0b6b3a;--unmet:#a32018;"
    "--c0:#0065a8;--c1:#c04a00;--c2:#00795a;--c3:#a3397d;--c4:#6a5a00;--c5:#4a55b5;--c6:#a11d33;--c7:#55606b"
)
_DARK = (
    "--paper:#16171a;--ink:#ececf0;--soft:#a6a6ae;--grid:#2e3036;--edge:#4a4c54;--shade:#3a2624;--met:#5fd39a;--unmet:#ff8f80;"
    "--c0:#5cb4f0;--c1:#ff9a52;--c2:#3fcf9f;--c3:#ec8cc8;--c4:#d9c64a;--c5:#a3adff;--c6:#ff7f90;--c7:#b4bec9"
)
_COLOURS = "".join(f".c{n}{{--c:var(--c{n})}}" for n in range(8))
STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}}
main{{max-width:60rem;margin:0 auto;padding:1rem 1.1rem 4rem}}
h1{{font-size:1.6rem;line-height:1.2}}
h2{{font-size:1.25rem;margin:2.6rem 0 .6rem;border-top:1px solid var(--edge);padding-top:1rem}}
p{{max-width:44rem}} nav ul{{columns:17rem;padding-left:1.2rem}} a{{color:var(--c0)}}
figure{{margin:1.2rem 0;max-width:36rem}} figcaption{{color:var(--soft);font-size:.875rem;text-align:left}}
figure.table{{max-width:none}}
.wide{{overflow-x:auto;margin:.3rem 0 0}} .wide:focus-visible{{outline:2px solid var(--c0)}}
table{{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}}
th,td{{padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--grid);text-align:right;
  vertical-align:top;overflow-wrap:normal}}
td{{white-space:nowrap}} th{{font-weight:600}} thead th{{border-color:var(--edge);vertical-align:bottom}}
th:first-child{{text-align:left;min-width:8.5rem;position:sticky;left:0;background:var(--paper)}}
td.words{{text-align:left;white-space:normal;min-width:9rem}}
.met,.unmet{{font-weight:700}} .met{{color:var(--met)}} .unmet{{color:var(--unmet)}} .none{{color:var(--soft)}}
pre{{overflow-x:auto;padding:.7rem;border:1px solid var(--edge)}}
.plot{{display:block;width:100%;height:auto}}
.plot text{{font:11px system-ui,sans-serif;fill:var(--ink)}}
.grid{{stroke:var(--grid)}} .zero{{stroke:var(--ink)}} .ideal{{stroke:var(--soft);stroke-dasharray:4 3}}
.lead{{stroke:var(--edge);fill:none}} .shade{{fill:var(--shade)}}
.line{{fill:none;stroke:var(--c);stroke-width:1.8}} .d1{{stroke-dasharray:7 3}} .d2{{stroke-dasharray:2 2.5}}
.d3{{stroke-dasharray:8 3 2 3}} .mark{{fill:var(--c)}} .bar{{fill:var(--c);fill-opacity:.3}}
.error{{fill:none;stroke:var(--c);stroke-width:1.3}} .seed{{fill:var(--paper);stroke:var(--c);stroke-width:.9}}
{_COLOURS}
@media print{{:root{{{_LIGHT}}} main{{max-width:none;padding:0}} body{{font-size:10pt}} nav{{display:none}}
.plot,tr{{break-inside:avoid}} h2{{break-after:avoid}} .wide{{overflow:visible}} table{{font-size:7.5pt}}
th,td{{padding-right:.35rem}} th:first-child,td.words{{min-width:0;position:static}} td{{white-space:normal}}
figure{{max-width:26rem}}}}
"""
_CLASSES = {"met": "met", "NOT met": "unmet", "not run": "none"}


def page(title: str, sections: Iterable[Section]) -> str:
    """The report as a page."""
    parts = list(sections)
    links = "".join(f'<li><a href="#s{n}">{_words(part.title)}</a></li>' for n, part in enumerate(parts))
    body = "\n".join(_section(n, part) for n, part in enumerate(parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{_words(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{_words(title)}</h1>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n{body}\n</main>\n</body>\n</html>\n'
    )


def _section(number: int, section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f'<section id="s{number}">\n<h2>{_words(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    match block:
        case Text(words=words):
            return f"<p>{_words(words)}</p>"
        case Bullets(items=items):
            return "<ul>" + "".join(f"<li>{_words(item)}</li>" for item in items) + "</ul>"
        case Command(lines=lines):
            return f"<pre><code>{chr(10).join(_words(line) for line in lines.splitlines())}</code></pre>"
        case Plot(caption=caption, svg=svg):
            return f"<figure>{svg}<figcaption>{_words(caption)}</figcaption></figure>"
        case Table(rows=()):
            return f"<p>{_words(block.caption)}: not run.</p>"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_words(cell)}</th>' for cell in table.head)
    rows = "".join(f"<tr>{_row(row)}</tr>\n" for row in table.rows)
    words = _words(table.caption)
    return (
        f'<figure class="table"><figcaption>{words}</figcaption>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{words}">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></figure>"
    )


def _row(row: tuple[str, ...]) -> str:
    first = f'<th scope="row">{_words(row[0])}</th>' if row else ""
    return first + "".join(f"<td{_kind(cell)}>{_words(cell)}</td>" for cell in row[1:])


def _kind(cell: str) -> str:
    found = _CLASSES.get(cell) or ("words" if len(cell) > 24 else "")
    return f' class="{found}"' if found else ""


def _words(words: str) -> str:
    return escape(printable(words))
