"""A sheet of images with their annotations on them, so that a person can see whether coordinates are right."""

import colorsys

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from galore import foreign
from galore.data.dataset import PartDataset, SceneDataset
from galore.data.geometry import Transform, warp
from galore.data.loader import Example, Files, move
from galore.errors import InputError

CELL = 300
"""Side of the square that an image is fitted into, in pixels."""

_CAPTION, _MARGIN, _LINE = 20, 8, 22


def draw(dataset: PartDataset | SceneDataset, count: int = 12, columns: int = 4) -> Image.Image:
    """Draws images spread evenly over a data set: part points and boxes, or the outlines of objects.

    Images that cannot be read are left out.

    Args:
        dataset: from a reader.
        count: how many images.
        columns: how many in a row.

    Returns:
        The sheet, with a legend of the parts below.
    """
    cells = []
    for index in np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)).tolist():
        try:
            example = Files(dataset)[index]
        except InputError:
            continue
        cells.append(_cell(example, dataset))
    rows = max(1, -(-len(cells) // columns))
    legend = _legend(dataset, columns * (CELL + _MARGIN) + _MARGIN)
    step = CELL + _CAPTION + _MARGIN
    sheet = Image.new("RGB", (legend.width, rows * step + _MARGIN + legend.height), "white")
    for position, cell in enumerate(cells):
        row, column = divmod(position, columns)
        sheet.paste(cell, (_MARGIN + column * (CELL + _MARGIN), _MARGIN + row * step))
    sheet.paste(legend, (0, sheet.height - legend.height))
    return sheet


def colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Colours of which neighbours are far apart: steps of the golden ratio around the colour circle."""
    circle = [colorsys.hsv_to_rgb(0.618034 * k % 1, 1.0, (1.0, 0.6, 0.8)[k % 3]) for k in range(count)]
    return np.round(np.array(circle).reshape(count, 3) * 255).astype(np.uint8)


def _cell(example: Example, dataset: PartDataset | SceneDataset) -> Image.Image:
    moved = move(example, _fit(*example["image"].shape[:2]))
    name = foreign.name(dataset.class_names[int(example["label"])])
    if isinstance(dataset, PartDataset):
        picture = _with_parts(moved, len(dataset.part_names))
        caption = f"{name}, image {dataset.image_ids[int(example['index'])]}"
    else:
        picture = _with_outlines(moved, len(dataset.object_names))
        caption = f"{name}: " + ", ".join(_largest(moved["mask"], dataset.object_names))
    cell = Image.new("RGB", (CELL, CELL + _CAPTION), "white")
    cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    ImageDraw.Draw(cell).text((2, CELL + 3), caption[:48], "black", ImageFont.load_default(12))
    return cell


def _fit(height: int, width: int) -> Transform:
    scale = CELL / max(height, width)
    return warp(height, width, max(1, round(height * scale)), max(1, round(width * scale)))


def _with_parts(example: Example, parts: int) -> Image.Image:
    picture = Image.fromarray(example["image"])
    pen = ImageDraw.Draw(picture)
    x, y, width, height = example["box"].tolist()
    pen.rectangle((x, y, x + width, y + height), outline="white")
    for point, is_visible, colour in zip(example["points"].tolist(), example["visible"], colours(parts).tolist()):
        if is_visible:
            pen.circle(point, 4, fill=tuple(colour), outline="white")
    return picture


def _with_outlines(example: Example, objects: int) -> Image.Image:
    mask = example["mask"].astype(np.int64)
    painted = np.concatenate([np.zeros((1, 3), np.uint8), colours(objects)])[mask]
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    share = np.where(edge, 1.0, np.where(mask > 0, 0.35, 0.0))[:, :, None]
    return Image.fromarray(np.round(example["image"] * (1 - share) + painted * share).astype(np.uint8))


def _largest(mask: Int[np.ndarray, "h w"] | UInt8[np.ndarray, "h w"], names: tuple[str, ...]) -> list[str]:
    areas = np.bincount(mask.ravel(), minlength=len(names) + 1)[1:]
    return [foreign.name(names[k].split(",")[0]) for k in np.argsort(-areas, kind="stable")[:3] if areas[k]]


def _legend(dataset: PartDataset | SceneDataset, width: int) -> Image.Image:
    if not isinstance(dataset, PartDataset):
        return Image.new("RGB", (width, 1), "white")
    per_row = max(1, width // 150)
    rows = -(-len(dataset.part_names) // per_row)
    legend = Image.new("RGB", (width, rows * _LINE + _MARGIN), "white")
    pen = ImageDraw.Draw(legend)
    for k, (name, colour) in enumerate(zip(dataset.part_names, colours(len(dataset.part_names)).tolist())):
        x, y = _MARGIN + (k % per_row) * 150, (k // per_row) * _LINE + _LINE / 2
        pen.circle((x + 5, y), 5, fill=tuple(colour))
        pen.text((x + 15, y - 8), foreign.name(name)[:20], "black", ImageFont.load_default(13))
    return legend
