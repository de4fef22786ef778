import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import heads
import jax
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from galore import InputError, explain, plotting
from galore.plotting import Panel, Scale

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
NET, IMAGES = heads.plain_network(), heads.images(2)
NAMES = tuple(f"bird {index}" for index in range(heads.CLASSES))


def texts(figure) -> str:
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(text.get_text() for text in found if text.get_text())


@pytest.mark.parametrize(("panels", "width"), [(1, 3.25), (2, 3.25), (4, 6.75)])
def test_figures_are_as_wide_as_columns_and_nothing_overlaps(panels, width):
    long = "speaks for a bird with a long name, not for another with one"
    figure = plotting.row(
        [Panel(PICTURE, long, Scale(0, 1))] * panels, "Why this bird and not that one?", "7 x 7 cells"
    )
    assert figure.get_figwidth() == width
    figure.canvas.draw()
    drawn = list(figure.axes) + [axis.title for axis in figure.axes] + figure.texts
    drawn += [text for axis in figure.axes for bar in axis.child_axes for text in bar.texts]
    boxes = [artist.get_window_extent() for artist in drawn]
    for place, one in enumerate(boxes):
        assert figure.bbox.padded(1).contains(one.x0, one.y0) and figure.bbox.padded(1).contains(one.x1, one.y1)
        for other in boxes[:place]:
            assert not one.padded(-1).overlaps(other), (one, other)


def test_letters_are_readable_in_print():
    figure = plotting.row([Panel(PICTURE, "a", Scale(0, 1))] * 4, "title", "foot")
    sizes = [text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
    assert min(sizes) >= 6


def test_files_are_the_same_bytes_in_every_process(tmp_path):
    program = """
import sys, numpy as np
from pathlib import Path
from galore import plotting
panel = plotting.Panel(np.arange(48, dtype=np.uint8).reshape(4, 4, 3), "Größe $x$", plotting.Scale(0, 1))
for suffix in plotting.FORMATS:
    plotting.save(plotting.row([panel], "a title"), Path(sys.argv[1], f"figure{suffix}"))
"""
    for name in "ab":
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, timeout=100)
    for suffix in plotting.FORMATS:
        first, second = (tmp_path / name / f"figure{suffix}" for name in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_a_pdf_has_its_letters_as_truetype_inside(tmp_path):
    plotting.save(plotting.row([Panel(PICTURE, "letters")]), tmp_path / "figure.pdf")
    content = (tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in content and b"/CIDFontType2" in content
    assert b"/Type3" not in content and b"CreationDate" not in content


def test_an_svg_has_its_letters_as_outlines(tmp_path):
    plotting.save(plotting.row([Panel(PICTURE, "letters")]), tmp_path / "figure.svg")
    drawing = ElementTree.parse(tmp_path / "figure.svg").getroot()
    kinds = {element.tag.rpartition("}")[2] for element in drawing.iter()}
    assert "path" in kinds and "image" in kinds and "text" not in kinds
    assert not re.search("<dc:date>", (tmp_path / "figure.svg").read_text())


def test_a_figure_is_a_picture_to_a_notebook():
    assert plotting.row([Panel(PICTURE, "a")])._repr_png_().startswith(b"\x89PNG")


def explained(kind):
    if kind == "counterfactual":
        return jax.jit(explain.counterfactual)(NET, IMAGES, 3, IMAGES[::-1])
    if kind in ("discriminant", "margin"):
        return jax.jit(getattr(explain, kind))(NET, IMAGES, 1, 2)
    return jax.jit(getattr(explain, kind))(NET, IMAGES)


@pytest.mark.parametrize(
    ("kind", "panels", "said"),
    [
        ("attributive", 1, "speaks for bird"),
        ("discriminant", 1, "speaks for bird 1,\nnot for bird 2"),
        ("margin", 1, "speaks for bird 1,\nnot for bird 2"),
        ("deliberative", 3, "or bird"),
        ("counterfactual", 2, "speaks for bird 3,"),
    ],
)
def test_every_explanation_plots_itself(kind, panels, said):
    one = explained(kind)
    figure = one.plot(np.asarray(IMAGES), 1, class_names=NAMES)
    assert isinstance(figure, Figure) and len(figure.axes) == panels
    assert said in texts(figure)


def test_the_colours_of_a_plot_are_those_of_its_values_on_one_scale():
    pair = explained("counterfactual")
    figure = pair.plot()
    low, high = (f(np.stack([pair.query.maps[0], pair.counter.maps[0]])) for f in (np.min, np.max))
    ends = [[text.get_text() for text in axis.child_axes[0].texts] for axis in figure.axes]
    assert ends == 2 * [[f"{low:.3g}", f"{high:.3g}"]] and high > low
    first, second = (np.asarray(axis.images[0].get_array()) for axis in figure.axes)
    rows, columns = pair.query.maps.shape[1:]
    cells = [picture[:: 448 // rows + 1, :: 448 // columns + 1] for picture in (first, second)]
    shown = np.concatenate([(picture @ [0.2126, 0.7152, 0.0722]).ravel() for picture in cells])
    values = np.concatenate([np.asarray(part.maps[0]).ravel() for part in (pair.query, pair.counter)])
    # Lighter with the value, but for what rounding to 8 bits does.
    assert (np.diff(shown[np.argsort(values)]) > -1).all() and np.ptp(shown) > 100


def test_a_plot_goes_into_axes_of_the_caller():
    figure, axes = plt.subplots(1, 2)
    one = explained("deliberative")
    assert one.plot(ax=axes[1]) is axes[1]
    assert axes[1].images and not axes[0].images
    plt.close(figure)


@pytest.mark.parametrize("arguments", [{"index": 2}, {"images": np.zeros((1, 8, 8, 3)), "index": 1}])
def test_an_image_that_is_not_there_is_refused(arguments):
    with pytest.raises(InputError, match="index="):
        explained("attributive").plot(**arguments)
