"""The gallery's files: every photo once, in the order of the ranking, with the cells that its map is largest at."""

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser

import invented_stream
import numpy as np
import pytest
from photographs import tiny_network, write_photos
from PIL import Image
from skimage.draw import polygon2mask

from galore import InputError, stream
from galore.stream import folder as folders
from galore.stream import gallery, thumbnails

COUNT = 230


class Table(HTMLParser):
    """The cells of a page's table, as texts, and the addresses of its pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows, self.pictures, self.is_inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_inside = True
        elif tag == "img":
            self.pictures.append(dict(attributes)["src"])

    def handle_endtag(self, tag):
        self.is_inside &= tag not in ("td", "th")

    def handle_data(self, data):
        if self.is_inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    made = invented_stream.write(tmp_path_factory.mktemp("stream") / "out", COUNT)
    assert stream.save_gallery(made, invented_stream.CLASSES) == made.root / "gallery" / "index.html"
    return made


def tables(made) -> list[Table]:
    pages = ["index.html", *(path.name for path in sorted((made.root / "gallery").glob("page-*.html")))]
    return [Table((made.root / "gallery" / page).read_text("utf-8")) for page in pages]


def test_every_photo_is_on_a_page_in_the_order_of_the_ranking(made):
    stream.save_ranking(made)
    with open(made.root / "ranking.csv", newline="") as file:
        ranked = [row["image"] for row in csv.DictReader(file)]
    pages = tables(made)
    assert [len(page.rows) - 1 for page in pages] == [100, 100, 30]
    assert pages[0].rows[0] == ["Photo", "Prediction", "Confidence", "Why not", "Hesitates between"]
    rows = [row for page in pages for row in page.rows[1:]]
    assert [row[0] for row in rows[: len(ranked)]] == ranked
    without = {row[0]: row[1] for row in rows[len(ranked) :]}
    assert len(without) == 4 and all(f"{name} is not an image" in why for name, why in without.items())


def test_rows_say_what_the_shards_say(made):
    rows = {row[0]: row[1:] for page in tables(made) for row in page.rows[1:]}
    plain = [name.replace("_", " ") for name in invented_stream.CLASSES]
    for shard in made.finished():
        columns = made.shard(shard)
        for place, row in enumerate(made.rows(shard)):
            if not columns["explained"][place]:
                continue
            pair = " or ".join(plain[k] for k in columns["pairs"][place][0]) if columns["occurs"][place][0] else ""
            confidence = f"{100 * (1 - columns['difficulty'][place]):.1f} %"
            classes = [plain[columns[name][place]] for name in ("predicted", "counter")]
            name = made.image_paths()[row].replace("\u202e", "\\u202e")
            assert rows[name] == [classes[0], confidence, classes[1], pair]


def test_the_script_holds_the_same_rows(made):
    text = (made.root / "gallery" / "rows.js").read_text("utf-8")
    columns = json.loads(re.fullmatch(r"const rows = (.*);\n", text)[1])
    assert {len(values) for values in columns.values()} == {COUNT}
    rows = [row for page in tables(made) for row in page.rows[1:]]
    assert columns["photo"] == [row[0] for row in rows] and columns["pair"] == [row[4] for row in rows]
    shown = ["" if one is None else f"{100 * one:.1f}" for one in columns["confidence"]]
    assert [float(a or 0) for a in shown] == pytest.approx([float(row[2][:-2] or 0) for row in rows], abs=0.11)


def test_thumbnails_are_where_the_pages_look_for_them(made):
    pictures = [picture for page in tables(made) for picture in page.pictures]
    assert len(pictures) == len(set(pictures)) == COUNT - 4
    for picture in pictures:
        with Image.open(made.root / "gallery" / picture) as thumbnail:
            assert thumbnail.size == (128, 128)


def test_foreign_texts_are_texts_and_the_pages_name_nobody(made):
    text = "".join(path.read_text("utf-8") for path in (made.root / "gallery").glob("*.html"))
    assert "<img src=x" not in text and "<b>" not in text and "<i>" not in text and "\u202e" not in text
    assert not re.search(r"https?:|//[a-z]", text)
    assert "&lt;b&gt;grey&lt;/b&gt; wren" in text


def test_the_largest_cells_are_lit():
    attribution = np.array([[0.0, 0.1, 0.9], [0.8, -1.0, 0.7], [0.2, 0.3, 0.4]], np.float32)
    assert gallery.lit(attribution, 0.3).tolist() == [[False, False, True], [True, False, True], [False, False, False]]
    assert gallery.lit(attribution, 0.01).sum() == 1 and gallery.lit(-np.abs(attribution), 0.5).sum() == 0


def test_an_outline_is_around_its_cells():
    cells = np.random.default_rng(0).random((5, 7)) > 0.5
    drawn = np.zeros((5, 7), bool)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", gallery.outline(cells)):
        x, y, width = int(x), int(y), int(width)
        centres = np.array([[y, x], [y, x + width], [y + 1, x + width], [y + 1, x]]) - 0.5
        drawn |= polygon2mask(drawn.shape, centres)
    assert (drawn == cells).all()
    assert gallery.outline(np.zeros((3, 3), bool)) == ""


@pytest.mark.robust("resuming")
def test_a_gallery_of_what_is_there_so_far(tmp_path):
    part = folders.begin(tmp_path / "out", [f"{k}.jpg" for k in range(COUNT)], {}, invented_stream.SHARD)
    with pytest.raises(InputError, match="no finished shard"):
        stream.save_gallery(part, invented_stream.CLASSES)
    part.write(1, invented_stream.columns(1, [f"{k}.jpg" for k in range(100, 200)]))
    stream.save_gallery(part, invented_stream.CLASSES)
    (page,) = tables(part)
    assert len(page.rows) == 101 and page.pictures == []


def test_more_photos_than_a_browser_sorts_are_left_out_and_said(tmp_path, monkeypatch):
    made = invented_stream.write(tmp_path / "out", 120, has_thumbnails=False)
    monkeypatch.setattr(gallery, "LARGEST", 110)
    stream.save_gallery(made, invented_stream.CLASSES)
    assert sum(len(page.rows) - 1 for page in tables(made)) == 110
    assert "Only the 110 most difficult ones are here" in (made.root / "gallery" / "index.html").read_text("utf-8")


class Stopped(Exception):
    pass


def files_of(root) -> dict[str, bytes]:
    places = [root / "gallery", root / "thumbnails"]
    return {str(path.relative_to(root)): path.read_bytes() for place in places for path in place.rglob("*.*")}


@pytest.mark.robust("resuming")
def test_a_stopped_stream_gives_the_same_bytes(tmp_path):
    """Stopped in the middle, or finished without thumbnails and resumed with them."""
    net = dataclasses.replace(tiny_network(), name="tiny")
    data = write_photos(tmp_path / "photos", 23)
    (data / "a" / "broken.jpg").write_text("no photo")

    def run(name, **options):
        done = stream.run(net, data, tmp_path / name, stream.both, batch_size=4, shard_size=10, **options)
        stream.save_gallery(done, [f"class {k}" for k in range(5)])
        return files_of(tmp_path / name)

    def stop(done, total):
        if done > 14:
            raise Stopped

    whole = run("whole", has_thumbnails=True)
    assert sum(name.endswith(".jpg") for name in whole) == 23
    with pytest.raises(Stopped):
        run("stopped", has_thumbnails=True, on_images=stop)
    assert thumbnails.are_there(stream.read(tmp_path / "stopped"), 0)
    assert run("stopped", has_thumbnails=True) == whole
    run("late")
    assert run("late", has_thumbnails=True) == whole
    (shard,) = np.random.default_rng(0).integers(0, 3, 1)
    (tmp_path / "late" / f"shard-{shard:06d}.npz").write_bytes(b"damaged")
    assert run("late", has_thumbnails=True) == whole


def test_thumbnails_show_what_the_network_saw(tmp_path):
    photo = Image.fromarray(np.full((40, 80, 3), (200, 30, 90), np.uint8))
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos" / "one.png")
    done = stream.run(
        tiny_network(), tmp_path / "photos", tmp_path / "out", stream.discriminant, batch_size=1, has_thumbnails=True
    )
    with Image.open(done.root / thumbnails.path(0, 0)) as found:
        assert found.size == (16, 16)  # the input of the network
        np.testing.assert_allclose(np.asarray(found).reshape(-1, 3), np.tile((200, 30, 90), (256, 1)), atol=4)
