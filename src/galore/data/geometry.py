"""One transform that moves pixels, points, boxes and masks together.

Coordinates are continuous: pixel i covers [i, i + 1) and its centre is i + 0.5, so that a point moves exactly as the
picture under it, with no half-pixel corrections anywhere. CUB-200-2011 counts from 0 (its boxes start at 0); its
part locations are whole pixels and are taken as they stand.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image

from galore.errors import InputError


@dataclass(frozen=True)
class Transform:
    """Resamples a window of an image to a new size and may then mirror it left to right.

    Attributes:
        source_height: of the image that it takes, in pixels.
        source_width: likewise.
        box: the window in that image: x0, y0, x1, y1. It may reach beyond the image, where pixels are 0.
        height: of the image that it gives, in pixels.
        width: likewise.
        flip: whether the result is mirrored left to right.
    """

    source_height: int
    source_width: int
    box: tuple[float, float, float, float]
    height: int
    width: int
    flip: bool = False

    def pixels(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """Moves an image, antialiased bilinear (Pillow's, whose filter grows when an image shrinks).

        Raises:
            InputError: the image has another size than the transform was made for.
        """
        self._check_size(image)
        box = self.box
        if box[0] < 0 or box[1] < 0 or box[2] > self.source_width or box[3] > self.source_height:
            image, box = _pad(image, box)
        resized = Image.fromarray(image).resize((self.width, self.height), Image.Resampling.BILINEAR, box=box)
        moved = np.asarray(resized)
        return np.ascontiguousarray(moved[:, ::-1]) if self.flip else moved

    def points(self, xy: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Where points (x, y) of the source lie in the result."""
        x0, y0, x1, y1 = self.box
        x = (xy[..., 0] - x0) * (self.width / (x1 - x0))
        y = (xy[..., 1] - y0) * (self.height / (y1 - y0))
        return np.stack([self.width - x if self.flip else x, y], axis=-1).astype(xy.dtype)

    def inside(self, xy: Float[np.ndarray, "*n 2"]) -> Bool[np.ndarray, "*n"]:
        """Whether points (x, y) *of the source* land inside the result: those that do not become invisible."""
        moved = self.points(xy)
        return (moved >= 0).all(-1) & (moved[..., 0] < self.width) & (moved[..., 1] < self.height)

    def boxes(self, boxes: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n 4"]:
        """Moves boxes (x, y, width, height), not clipped to the result."""
        first = self.points(boxes[..., :2])
        second = self.points(boxes[..., :2] + boxes[..., 2:])
        corner = np.minimum(first, second)
        return np.concatenate([corner, np.maximum(first, second) - corner], axis=-1)

    def mask(self, mask: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "height width"]:
        """Moves a map of labels by nearest neighbour; 0 (False) where the window reaches beyond the image.

        Raises:
            InputError: the mask has another size than the transform was made for.
        """
        self._check_size(mask)
        rows, row_valid = _nearest(self.box[1], self.box[3], self.height, self.source_height)
        columns, column_valid = _nearest(self.box[0], self.box[2], self.width, self.source_width)
        moved = mask[rows[:, None], columns[None, :]]
        moved[~(row_valid[:, None] & column_valid[None, :])] = 0
        return np.ascontiguousarray(moved[:, ::-1]) if self.flip else moved

    def flipped(self) -> "Transform":
        """The same transform with its result mirrored left to right."""
        return dataclasses.replace(self, flip=not self.flip)

    def _check_size(self, image: Shaped[np.ndarray, "..."]) -> None:
        if image.shape[:2] != (self.source_height, self.source_width):
            raise InputError(
                f"an image of {image.shape[1]} x {image.shape[0]} pixels was given to a transform for "
                f"{self.source_width} x {self.source_height}"
            )


def warp(height: int, width: int, new_height: int, new_width: int) -> Transform:
    """Resizes the whole image, whatever happens to its proportions."""
    return Transform(height, width, (0.0, 0.0, float(width), float(height)), new_height, new_width)


def resize_and_center_crop(height: int, width: int, resize: int, crop: int) -> Transform:
    """Resizes the short side and cuts the central square, as networks are usually tested.

    Args:
        height: of the source, in pixels.
        width: likewise.
        resize: the short side after resizing; the long side is rounded down, as torchvision does.
        crop: the side of the square.

    Returns:
        A transform to crop x crop pixels.

    Raises:
        InputError: the crop is larger than the resized image.
    """
    if not 0 < crop <= resize:
        raise InputError(f"cannot cut {crop} pixels out of a short side of {resize}, expected 0 < crop <= resize")
    short = min(height, width)
    new_height, new_width = (resize if side == short else int(resize * side / short) for side in (height, width))
    # Python rounds halves to even, and so does the reference.
    top, left = round((new_height - crop) / 2), round((new_width - crop) / 2)
    across, down = width / new_width, height / new_height
    box = (
        left * across,
        top * down,
        min((left + crop) * across, float(width)),
        min((top + crop) * down, float(height)),
    )
    return Transform(height, width, box, crop, crop)


def random_resized_crop(
    rng: np.random.Generator,
    height: int,
    width: int,
    size: int,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip_probability: float = 0.5,
) -> Transform:
    """A random window of random area and proportions, as networks are usually trained (Szegedy et al., 2015).

    Args:
        rng: the source of randomness.
        height: of the source, in pixels.
        width: likewise.
        size: the side of the square that comes out.
        scale: the smallest and the largest share of the area.
        ratio: the smallest and the largest width / height, drawn log-uniformly.
        flip_probability: of mirroring left to right.

    Returns:
        A transform to size x size pixels; after ten windows that do not fit, the largest central one that does.
    """
    mirrored = bool(rng.random() < flip_probability)
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        proportions = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        window_width, window_height = math.sqrt(area * proportions), math.sqrt(area / proportions)
        if window_width <= width and window_height <= height:
            left, top = rng.uniform(0, width - window_width), rng.uniform(0, height - window_height)
            break
    else:
        window_width, window_height = min(width, height * ratio[1]), min(height, width / ratio[0])
        left, top = (width - window_width) / 2, (height - window_height) / 2
    box = (left, top, min(left + window_width, float(width)), min(top + window_height, float(height)))
    return Transform(height, width, box, size, size, mirrored)


def _nearest(
    start: float, stop: float, count: int, source: int
) -> tuple[Shaped[np.ndarray, "count"], Bool[np.ndarray, "count"]]:
    """The source pixel under the centre of every output pixel, and whether there is one."""
    pixel = np.floor(start + (np.arange(count) + 0.5) * ((stop - start) / count)).astype(np.int64)
    return np.clip(pixel, 0, source - 1), (pixel >= 0) & (pixel < source)


def _pad(
    image: UInt8[np.ndarray, "h w 3"], box: tuple[float, float, float, float]
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], tuple[float, float, float, float]]:
    """Adds black around the image until the box lies inside it."""
    height, width = image.shape[:2]
    left, top = (max(0, math.ceil(-value)) for value in box[:2])
    right, bottom = max(0, math.ceil(box[2] - width)), max(0, math.ceil(box[3] - height))
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)))
    return padded, (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
