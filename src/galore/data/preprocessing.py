"""From the pixels of a photo to what a network takes."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from galore.data import geometry
from galore.errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """Resize the short side, cut the central square, subtract the mean and divide by the standard deviation.

    Attributes:
        resize: the short side after resizing, in pixels.
        crop: the side of the square that the network takes, in pixels.
        mean: per channel (RGB), for pixel values scaled to [0, 1].
        std: likewise.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.resize:
            raise InputError(f"preprocessing with crop {self.crop} and resize {self.resize}: expected crop <= resize")
        if not all(std > 0 for std in self.std):
            raise InputError(f"preprocessing with standard deviation {self.std}: expected numbers above zero")

    def at(self, side: int) -> "Preprocessing":
        """The same for another input size: the square has `side` pixels and cuts the same share of the image.

        Raises:
            InputError: the side is not a number of pixels above zero.
        """
        if side < 1:
            raise InputError(f"an input size of {side} pixels: expected a number above zero")
        return dataclasses.replace(self, resize=round(side * self.resize / self.crop), crop=side)

    def transform(self, height: int, width: int) -> geometry.Transform:
        """The geometry for an image of this size; it also moves points, boxes and masks."""
        return geometry.resize_and_center_crop(height, width, self.resize, self.crop)

    def apply(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "crop crop 3"]:
        """From a decoded photo of any size to what the network takes (float32)."""
        return self.normalise(self.transform(image.shape[0], image.shape[1]).pixels(image))

    def normalise(self, pixels: UInt8[Any, "*n 3"]) -> Float[Any, "*n 3"]:
        """(pixels / 255 - mean) / std, in float32; works on one image or a batch, of numpy or (also traced) of jax."""
        scale, offset = self._scale_and_offset()
        return pixels.astype(np.float32) * scale + offset

    def _scale_and_offset(self) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        mean, std = np.array(self.mean, np.float64), np.array(self.std, np.float64)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
