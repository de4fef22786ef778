"""What the sections of the page are made of, each a piece of HTML: captioned pictures, bars, tables."""

import re
from html import escape

import numpy as np
from jaxtyping import UInt8

from galore import overlay
from galore.report import words
from galore.report.answer import Finding, Photo


def image(pixels: UInt8[np.ndarray, "height width 3"], alternative: str) -> str:
    """A picture inside the page, with the words for those who do not see it."""
    height, width = pixels.shape[:2]
    return f'<img src="{overlay.data_uri(pixels)}" width="{width}" height="{height}" alt="{escape(alternative)}">'


def figure(pixels: UInt8[np.ndarray, "height width 3"], alternative: str, caption: str) -> str:
    """A picture over its caption, which is HTML."""
    return f"<figure>{image(pixels, alternative)}<figcaption>{caption}</figcaption></figure>"


def lit_figure(photo: Photo, finding: Finding, meaning: str, caption: str) -> str:
    """The photo with the finding's region lit, over a caption in HTML."""
    alternative = f"Photo {photo.name} with the region lit that shows {meaning}: {words.parts(finding)}."
    return figure(overlay.lit(photo.view, finding.region, finding.map.shape), alternative, caption)


def lit_key(finding: Finding) -> str:
    """What the line around a lit region stands for."""
    if not finding.boxes:
        return "The map is the same everywhere, so no region is lit."
    return (
        f'<span class="key" aria-hidden="true"></span>Lit: the {words.percent(finding.covered)} of the picture with '
        "the highest values."
    )


def heat_figure(photo: Photo, finding: Finding, meaning: str) -> str:
    """The photo under the coloured cells of the finding's map."""
    height, width = finding.map.shape
    alternative = f"Photo {photo.name} under the {height} × {width} cells of the map that shows {meaning}."
    caption = f"<strong>How much.</strong> The {height} × {width} cells of the same map."
    return figure(overlay.heat(photo.view, finding.map), alternative, caption)


def heat_scale() -> str:
    """The colours of the cells, from the lowest to the highest value."""
    steps = overlay.legend()[None]
    return (
        '<p class="legend across"><span>lowest</span>'
        f'<img class="scale" src="{overlay.data_uri(steps)}" alt="From dark, lowest, to pale yellow, highest">'
        "<span>highest</span></p>"
    )


def bar(share: float) -> str:
    """A share of 1 as a bar; what lies outside 0 to 1 is cut off."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="4" rx="1"/><rect class="value" width="{width:.2f}" '
        'height="4" rx="1"/></svg>'
    )


def table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of plain text that scrolls on its own; all columns but the first hold numbers."""

    def line(tag: str, cells: tuple[str, ...]) -> str:
        opened = [f"<{tag}>", *[f'<{tag} class="number">'] * (len(cells) - 1)]
        return "<tr>" + "".join(f"{o}{escape(c)}</{tag}>" for o, c in zip(opened, cells)) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead>{line('th', heads)}</thead><tbody>{body}</tbody></table></div>"
    )


def with_options(text: str) -> str:
    """Escaped text whose command-line options never break across lines."""
    return re.sub(r"(--[a-z-]+)", r"<code>\1</code>", escape(text))
