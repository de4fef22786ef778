"""The gallery of a stream: pages with every photo, what the network says of it and where, to open in a browser.

    gallery/index.html, page-0002.html, ...    tables of 100 photos, the most difficult first; they need no script
    gallery/rows.js                            all rows, by which gallery.js sorts and filters

The pages ask nobody for anything. Thumbnails are those of `galore.stream.thumbnails`.
"""

import functools
import heapq
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from galore import atomic, class_names, foreign
from galore.errors import InputError
from galore.stream import thumbnails
from galore.stream.folder import Folder, HostColumns

ON_A_PAGE = 100
LARGEST = 50_000
"""Photos of a gallery, the most difficult ones; a browser sorts that many without a pause."""

FOLDER, FIRST_PAGE = "gallery", "index.html"
QUESTIONS = {
    "discriminant": "Why this class and not another?",
    "attributive": "What speaks for the prediction?",
    "deliberative": "Where does it hesitate, and between which classes?",
    "both": "Why this class and not another, and between which does it hesitate?",
}
LIT = {
    "standardised": "the cells that speak less for the other class than for all others",
    "part-tables": "parts by which the two classes differ, whether or not this photo shows the difference",
    "counterparts": "the cells that would cost the prediction most if they looked as the other class does there",
}
"""By the rule, where an answer does not rest on what is lit."""
COLUMNS = {
    "photo": "Photo",
    "prediction": "Prediction",
    "confidence": "Confidence",
    "counter": "Why not",
    "pair": "Hesitates between",
}


@dataclass(frozen=True)
class Entry:
    """A photo as the gallery shows it.

    Attributes:
        photo: its name.
        thumbnail: its address from the root of the run; empty without one.
        prediction: the class; where there is no explanation, the reason.
        confidence: in [0, 1]; NaN without an explanation.
        counter: the class that was asked about; empty without one.
        pair: the classes of the strongest insecurity, "a or b"; empty without one.
        region: the cells that matter most, as a path of SVG; empty without any.
    """

    photo: str
    thumbnail: str
    prediction: str
    confidence: float
    counter: str = ""
    pair: str = ""
    region: str = ""


@dataclass(frozen=True)
class Gallery:
    """What all pages show.

    Attributes:
        entries: in their order.
        photos: how many there are, shown or not.
        cells: of a map, (h, w).
        network: its name.
        explanation: its kind; empty where it is not known.
        rule: what sets two classes apart; empty for the papers' product.
    """

    entries: Sequence[Entry]
    photos: int
    cells: tuple[int, int]
    network: str
    explanation: str
    rule: str = ""

    @property
    def pages(self) -> int:
        """How many."""
        return math.ceil(len(self.entries) / ON_A_PAGE)

    @functools.cached_property
    def columns(self) -> dict[str, str]:
        """The titles of the columns, by the attribute of an entry."""
        return {name: title for name, title in COLUMNS.items() if any(getattr(entry, name) for entry in self.entries)}


def save(folder: Folder, names: Sequence[str], fraction: float = 0.1) -> Path:
    """Writes the gallery of the shards that are there.

    Args:
        folder: of a run, finished or not.
        names: of the classes, in the order of the logits.
        fraction: the part of a map's cells that is lit.

    Returns:
        The first page.

    Raises:
        InputError: nothing is finished yet, or the place cannot be written.
    """
    gallery = _read(folder, names, fraction)
    place = folder.root / FOLDER
    with atomic.turn(place), atomic.folder(place, overwrite=True) as new:
        for name in ("gallery.css", "gallery.js"):
            text = resources.files("galore.stream").joinpath("page", name).read_text("utf-8")
            (new / name).write_text(text, encoding="utf-8")
        (new / "rows.js").write_text(_script(gallery.entries), encoding="utf-8")
        for number in range(1, gallery.pages + 1):
            (new / _address(number)).write_text(_page(gallery, number), encoding="utf-8")
    return place / FIRST_PAGE


def _read(folder: Folder, names: Sequence[str], fraction: float) -> Gallery:
    shards = folder.finished()
    if not shards:
        raise InputError(f"{folder.root} has no finished shard yet")
    order = lambda entry: (math.isnan(entry.confidence), entry.confidence)  # noqa: E731
    shown = heapq.nsmallest(LARGEST, _entries(folder, shards, names, fraction), key=order)
    photos = sum(len(folder.rows(shard)) for shard in shards)
    cells = folder.shard(shards[0])["maps"].shape[-2:]
    asked = {name: foreign.text(folder.settings.get(name) or "") for name in ("network", "explanation", "rule")}
    return Gallery(shown, photos, cells, asked["network"] or "a network", asked["explanation"], asked["rule"])


def _entries(folder: Folder, shards: Sequence[int], names: Sequence[str], fraction: float) -> Iterator[Entry]:
    """One a row, in their order."""
    photos, label = folder.image_paths(), functools.cache(lambda index: class_names.label(index, names))
    for shard in shards:
        columns = folder.shard(shard)
        has_pictures, problems = thumbnails.are_there(folder, shard), iter(columns["problems"].tolist())
        for place, row in enumerate(folder.rows(shard).tolist()):
            photo = foreign.text(photos[row], foreign.LONGEST_PATH)
            if columns["explained"][place]:
                thumbnail = thumbnails.path(shard, place) if has_pictures else ""
                yield _entry(columns, place, photo, thumbnail, label, fraction)
            else:
                yield Entry(photo, "", f"not explained: {foreign.text(next(problems), 400)}", math.nan)


def _entry(
    columns: HostColumns, place: int, photo: str, thumbnail: str, label: Callable[[int], str], fraction: float
) -> Entry:
    counter, pair, attribution = "", "", columns["maps"][place]
    if "counter" in columns:
        counter = label(int(columns["counter"][place]))
    if "pairs" in columns and columns["occurs"][place][0]:
        pair = " or ".join(label(int(one)) for one in columns["pairs"][place][0])
    return Entry(
        photo=photo,
        thumbnail=thumbnail,
        prediction=label(int(columns["predicted"][place])),
        confidence=1 - float(columns["difficulty"][place]),
        counter=counter,
        pair=pair,
        region=outline(lit(attribution if attribution.ndim == 2 else attribution[0], fraction)),
    )


def lit(attribution: Float[np.ndarray, "h w"], fraction: float) -> Bool[np.ndarray, "h w"]:
    """The cells of the largest values, a fraction of all of them and at least one, but none that is zero or below."""
    count = max(1, round(fraction * attribution.size))
    least = np.partition(attribution, -count, axis=None)[-count]
    return (attribution >= least) & (attribution > 0)


def outline(cells: Bool[np.ndarray, "h w"]) -> str:
    """A path of SVG around the runs of cells of each row, in units of a cell."""
    parts = []
    for y, row in enumerate(cells):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
        parts += [f"M{start} {y}h{end - start}v1h{start - end}z" for start, end in edges.reshape(-1, 2).tolist()]
    return "".join(parts)


def _address(number: int) -> str:
    return FIRST_PAGE if number == 1 else f"page-{number:04d}.html"


def _script(entries: Sequence[Entry]) -> str:
    """All rows as columns, in a file that a page may load from a disk, too."""
    columns = {name: [getattr(entry, name) for entry in entries] for name in Entry.__dataclass_fields__}
    columns["confidence"] = [None if math.isnan(value) else round(value, 4) for value in columns["confidence"]]
    return f"const rows = {json.dumps(columns, separators=(',', ':'))};\n"


def _page(gallery: Gallery, number: int) -> str:
    title, count = f"{gallery.photos:,} photos and what {gallery.network} sees", len(gallery.entries)
    first = (number - 1) * ON_A_PAGE
    entries = gallery.entries[first : first + ON_A_PAGE]
    question = QUESTIONS.get(gallery.explanation, "")
    left_out = f"Only the {count:,} most difficult ones are here." if count < gallery.photos else ""
    policy = "default-src 'none'; img-src 'self' file:; script-src 'self' file:; style-src 'self' file:"
    height, width = gallery.cells
    heads = "".join(
        f'<th role=columnheader scope=col data-key="{name}">{title}</th>' for name, title in gallery.columns.items()
    )
    rows = "\n".join(_row(gallery, entry) for entry in entries)
    return f"""<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta http-equiv=Content-Security-Policy content="{policy}; base-uri 'none'; form-action 'none'">
<meta name=viewport content="width=device-width, initial-scale=1">
<title>{escape(title)}{f", page {number}" if number > 1 else ""}</title>
<link rel=stylesheet href=gallery.css>
<script defer src=rows.js></script>
<script defer src=gallery.js></script>
</head>
<body data-page={number} data-on-a-page={ON_A_PAGE} data-cells="{width} {height}">
<a class=skip href=#photos>Skip to the photos</a>
<header>
<h1>{escape(title)}</h1>
<p>{question} Lit in a photo: {LIT.get(gallery.rule, "the cells on which its answer rests most")}. {left_out}</p>
</header>
<main>
<form id=filters role=search aria-label="Choose photos" hidden>
<label>Find <input type=search name=find placeholder="photo or class" autocomplete=off></label>
<label>Prediction <select name=prediction><option value="">any</option></select></label>
<label>Confidence, % from <input type=number name=least min=0 max=100 step=any></label>
<label>to <input type=number name=most min=0 max=100 step=any></label>
<button type=reset>Show all</button>
</form>
<p class=above><span id=shown role=status>Photos {first + 1:,} to {first + len(entries):,} of {count:,}, the most
difficult first.</span> <label><input type=checkbox id=regions checked> Light the cells</label></p>
<table role=table id=photos tabindex=-1>
<caption class=hidden>Photos and explanations</caption>
<thead role=rowgroup><tr role=row>{heads}</tr></thead>
<tbody role=rowgroup>
{rows}
</tbody>
</table>
<nav aria-label=Pages>{"".join(_links(number, gallery.pages))}</nav>
</main>
<footer><p>Made by galore. The maps are in shard-*.npz, the order of all photos in ranking.csv.</p></footer>
</body>
</html>
"""


def _row(gallery: Gallery, entry: Entry) -> str:
    """A row; gallery.js fills copies of the first one."""
    height, width = gallery.cells
    dark = f"M0 0h{width}v{height}H0z{entry.region}" if entry.region and entry.thumbnail else ""
    picture = f'<img src="../{entry.thumbnail}" alt="" loading=lazy width=96 height=96>' if entry.thumbnail else ""
    others = "".join(
        f'<td role=cell data-label="{title}" class={name}>{escape(_shown(getattr(entry, name)))}</td>'
        for name, title in gallery.columns.items()
        if name != "photo"
    )
    return (
        f'<tr role=row><th role=rowheader scope=row class=photo><span class=picture>{picture}<svg viewBox="0 0 {width} '
        f'{height}" preserveAspectRatio=none aria-hidden=true><path d="{dark}"/></svg></span>'
        f"<span class=name>{escape(entry.photo)}</span></th>{others}</tr>"
    )


def _shown(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{100 * value:.1f} %"


def _links(number: int, pages: int) -> Iterator[str]:
    """To the first and last page and to those near this one."""
    near = sorted({1, pages, *range(max(1, number - 2), min(pages, number + 2) + 1)})
    for page in near:
        current = " aria-current=page" if page == number else ""
        yield f'<a href={_address(page)} aria-label="Page {page}"{current}>{page}</a>'
