"""A page of results as Markdown and as HTML, from the same text: a figure, then what is folded until asked for."""

import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from markdown_it import MarkdownIt
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from galore import atomic
from galore.experiment.claims import Verdict
from galore.experiment.studies import SYMBOLS

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#222;--link:#0b4f9c;--focus:#b84a00;--line:#d5d5d5;--head:#f3f3f3;
--holds:#dcf3df;--not:#fbdcd9;--same:#e3e9f0;--depends:#fdecc8;--unknown:#eee}
@media(prefers-color-scheme:dark){:root{--paper:#141414;--ink:#e6e6e6;--link:#8ebdf2;--focus:#ffb07a;--line:#454545;
--head:#262626;--holds:#12401f;--not:#5c1f1b;--same:#2c3846;--depends:#4d3a0c;--unknown:#333}
.forest svg{filter:invert(.92) hue-rotate(180deg)}}
/* The figure is drawn for white paper; inverted, its white is exactly the dark paper. */
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
main{max-width:77rem;margin:0 auto;padding:1rem}
h1,h2,h3{line-height:1.25}h1{margin:.2rem 0 .6rem;font-size:1.7rem}h2{margin:2.2rem 0 .8rem;font-size:1.35rem}
h3{display:inline;font-size:1.05rem;margin:0}
p,li,figcaption{max-width:74rem;margin:.3rem 0;line-height:1.4}ul{margin:.4rem 0;padding-left:1.4rem}
.body p,.body li{max-width:54rem}
a{color:var(--link)}code{background:var(--head);padding:0 .2rem}
.skip{position:absolute;left:-99rem}.skip:focus{position:static;display:inline-block;padding:.5rem 1rem}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
details{border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0}
summary{padding:.45rem .8rem;cursor:pointer;background:var(--head);border-radius:.4rem}
.body{padding:.2rem .9rem 1rem}
.scroll{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;font-size:.85rem;overflow-wrap:normal}
th,td{border-bottom:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top;min-width:4rem}
th{background:var(--head)}.interval,.verdict{white-space:nowrap}td.long{min-width:17rem}td.medium{min-width:9rem}
figure{margin:1rem 0}.forest svg{max-width:100%;height:auto;display:block}.narrow{display:none}
.forest a text{text-decoration:underline}
@media(max-width:60rem){.wide{display:none}.narrow{display:block}}
@media(min-width:60.01rem){.scroll img{max-width:100%;height:auto}}
.holds{background:var(--holds)}.does-not-hold{background:var(--not)}.no-difference-that-matters{background:var(--same)}
.depends-on-the-ground-truth{background:var(--depends)}.cannot-tell{background:var(--unknown)}
"""
SCRIPT = """
const open_ = () => {
  const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = there; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (there) there.scrollIntoView();
};
addEventListener("hashchange", open_);
addEventListener("click", event => { if (event.target.closest("a")) setTimeout(open_); });
open_();
"""
INTERVAL = re.compile(r"-?[\d.]+ \[[-\d., ]+\](?: times)?")


@dataclass(frozen=True)
class Fold:
    """What can be opened.

    Attributes:
        anchor: that links name.
        title: always seen.
        body: Markdown.
    """

    anchor: str
    title: str
    body: str


@dataclass(frozen=True)
class Group:
    """Folds below a heading."""

    title: str
    folds: tuple[Fold, ...]

    @property
    def anchor(self) -> str:
        """That links name."""
        return "-".join(re.findall(r"\w+", self.title.lower()))


@dataclass(frozen=True, eq=False)
class Plot:
    """The figure of a page's first screen.

    Attributes:
        wide: for desks; written as headline.svg and headline.png, too.
        narrow: for phones.
        told: what it shows, in a sentence.
        caption: how it is read.
    """

    wide: Figure
    narrow: Figure
    told: str
    caption: str


@dataclass(frozen=True, eq=False)
class Page:
    """All of it.

    Attributes:
        title: the only heading of the first order.
        lead: Markdown, first.
        plot: None: there is nothing to show.
        groups: what is folded.
    """

    title: str
    lead: str
    plot: Plot | None
    groups: tuple[Group, ...]


def write(folder: Path, page: Page) -> None:
    """Writes index.md, index.html and the figure."""
    if page.plot is not None:
        for suffix, data in {"svg": svg(page.plot.wide, "headline").encode(), "png": _png(page.plot.wide)}.items():
            with atomic.file(folder / f"headline.{suffix}") as path:
                path.write_bytes(data)
    for name, text in {"index.md": markdown(page), "index.html": to_html(page)}.items():
        with atomic.file(folder / name) as path:
            path.write_text(text, encoding="utf-8")


def markdown(page: Page) -> str:
    """The page for readers on GitHub: nothing is folded."""
    parts = [f"# {page.title}", page.lead]
    if page.plot is not None:
        parts += [page.plot.caption, f"![{page.plot.told}](headline.svg)"]
    parts.append(_contents(page))
    for group in page.groups:
        parts.append(f"## {group.title}")
        parts += [f'<a id="{fold.anchor}"></a>\n\n### {fold.title}\n\n{fold.body.strip()}' for fold in group.folds]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def to_html(page: Page) -> str:
    """The page for a browser."""
    numbers = count(1)
    contents = f"<nav aria-label=Contents>{_rendered(_contents(page), 'contents', numbers)}</nav>"
    parts = [
        f"<h1>{html.escape(page.title)}</h1>",
        _rendered(page.lead, "introduction", numbers),
        f"<details id=contents><summary>Contents</summary><div class=body>{contents}</div></details>",
        "" if page.plot is None else _plot(page.plot),
    ]
    for group in page.groups:
        parts.append(f"<h2 id={group.anchor}>{html.escape(group.title)}</h2>")
        for fold in group.folds:
            body = _rendered(fold.body, fold.title, numbers)
            head = f"<summary><h3>{html.escape(fold.title)}</h3></summary>"
            parts.append(f'<details id="{fold.anchor}">{head}<div class=body>{body}</div></details>')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{html.escape(page.title)}</title><style>{STYLE}</style>"
    body = "\n".join(
        ["<a class=skip href=#main>Skip to the results</a><main id=main>", *filter(None, parts), "</main>"]
    )
    script = f"<script>{SCRIPT}</script>"
    return f"<!doctype html>\n<html lang=en>\n<head>{head}</head>\n<body>\n{body}\n{script}\n</body>\n</html>\n"


def svg(figure: Figure, salt: str) -> str:
    """A figure with letters as letters, and the same bytes every time; the salt sets its inner names apart."""
    text = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _inside_html(figure: Figure, salt: str, told: str) -> str:
    """The element of a figure, with names of its own; the lines of a text are one link."""
    text = svg(figure, salt)
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<use [^>]*?xlink:href="#|url\(#| id=")', rf"\g<1>{salt}-", text)
    text = re.sub(r'</a>(\s*)<a xlink:href="[^"]*"[^>]*>', r"\1", text)
    text = re.sub(r'<a xlink:href="([^"]*)"[^>]*>', r'<a href="\1">', text)  # axe does not know the older name
    return text.replace("<svg ", f'<svg role="group" aria-label="{html.escape(told, quote=True)}" ', 1)


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return data.getvalue()


def _plot(plot: Plot) -> str:
    """Both figures, of which style shows one."""
    both = "".join(
        f"<div class={name}>{_inside_html(figure, name, plot.told)}</div>"
        for name, figure in {"wide": plot.wide, "narrow": plot.narrow}.items()
    )
    caption = MarkdownIt("commonmark", {"html": False}).renderInline(plot.caption)
    return f"<figure class=forest><figcaption>{caption}</figcaption>{both}</figure>"


def _contents(page: Page) -> str:
    lines = []
    for group in page.groups:
        lines.append(f"- [{group.title}](#{group.anchor})")
        lines += [f"    - [{fold.title}](#{fold.anchor})" for fold in group.folds]
    return "\n".join(lines)


def _rendered(text: str, label: str, numbers: Iterator[int]) -> str:
    """HTML of Markdown: verdicts in colour, and tables and figures that scroll by themselves."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = re.sub(r'href="([^"]*)index\.md', r'href="\1index.html', body)
    for verdict in Verdict:
        shown = f"{SYMBOLS[verdict]} {verdict.value}"
        name = verdict.value.replace(" ", "-")
        body = body.replace(f"<td>{shown}", f'<td class="{name}"><span class=verdict>{shown}</span>')
    body = INTERVAL.sub(r"<span class=interval>\g<0></span>", body)
    body = re.sub(r"<td>(.*?)</td>", _wide, body)

    def region(kind: str, inside: str) -> str:
        name = html.escape(f"{kind} {next(numbers)}: {label}", quote=True)
        return f'<div class=scroll role=region tabindex=0 aria-label="{name}">{inside}</div>'

    body = re.sub(r"<table>.*?</table>", lambda found: region("Table", found[0]), body, flags=re.DOTALL)
    return re.sub(
        r"<p>(<img [^>]*>)</p>",
        lambda found: f"<figure>{region('Figure', found[1].replace('<img ', '<img loading=lazy '))}</figure>",
        body,
    )


def _wide(found: re.Match[str]) -> str:
    """A cell with room for its words."""
    letters = len(re.sub("<.*?>", "", found[1]))
    kind = next((f" class={name}" for name, least in (("long", 40), ("medium", 20)) if letters >= least), "")
    return f"<td{kind}>{found[1]}</td>"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a bar inside a cell would end it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
