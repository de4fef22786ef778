import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from galore.data.photo import read_image, read_size
from galore.errors import InputError

# Four flat quarters: a colour that survives every format, and places that show a wrong orientation.
QUARTERS = np.array([[[200, 30, 40], [20, 180, 60]], [[30, 60, 220], [230, 230, 20]]], np.uint8)


def picture(height: int = 32, width: int = 48) -> np.ndarray:
    return QUARTERS.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


def quarters_of(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    rows, columns = [height // 4, 3 * height // 4], [width // 4, 3 * width // 4]
    return pixels[np.ix_(rows, columns)].astype(int)


def test_a_colour_png_comes_out_as_it_is(tmp_path: Path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture())


@pytest.mark.parametrize("mode", ["L", "1"])
def test_greyscale_has_three_equal_channels(tmp_path: Path, mode: str):
    grey = Image.fromarray(picture()).convert(mode)
    grey.save(tmp_path / "a.png")
    expected = np.asarray(grey).astype(np.uint8) * (255 if mode == "1" else 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.stack([expected] * 3, axis=-1))


def test_transparency_is_laid_on_white(tmp_path: Path):
    alpha = np.full((32, 48, 1), 255, np.uint8)
    alpha[:16] = 0
    alpha[16:, 24:] = 128
    Image.fromarray(np.concatenate([picture(), alpha], axis=2)).save(tmp_path / "a.png")
    half = np.round(QUARTERS[1, 1] * (128 / 255) + 255 * (127 / 255)).astype(int)
    expected = np.array([[[255] * 3, [255] * 3], [QUARTERS[1, 0], half]])
    np.testing.assert_allclose(quarters_of(read_image(tmp_path / "a.png")), expected, atol=1)


def test_a_transparent_palette_entry_is_white(tmp_path: Path):
    indexed = Image.fromarray(picture()).quantize(4)
    first = np.asarray(indexed)[0, 0]
    indexed.save(tmp_path / "a.png", transparency=int(first))
    found = quarters_of(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_allclose(found[1], QUARTERS[1].astype(int), atol=2)


def test_grey_with_alpha(tmp_path: Path):
    Image.new("LA", (32, 32), (10, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_cmyk_jpeg(tmp_path: Path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    np.testing.assert_allclose(quarters_of(read_image(tmp_path / "a.jpg")), QUARTERS.astype(int), atol=12)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str):
    values = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    found = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found[:, :, 0], values / 65535 * 255, atol=0.51)


def test_sixteen_bit_colour_png(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png(picture().astype(">u2") * 257, bits=16, colour_type=2))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture())


def test_palette(tmp_path: Path):
    Image.fromarray(picture()).quantize(4).save(tmp_path / "a.gif")
    np.testing.assert_allclose(quarters_of(read_image(tmp_path / "a.gif")), QUARTERS.astype(int), atol=2)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, suffix: str):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}")[16, 16], [255, 0, 0])


# EXIF 2.32, tag 274: what to do to the stored pixels so that they stand upright, written out by hand.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), UPRIGHT[orientation](picture()))
    assert read_size(tmp_path / "a.png") == UPRIGHT[orientation](picture()).shape[:2]


def jpeg() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def png(pixels: np.ndarray, bits: int = 8, colour_type: int = 2, size: tuple[int, int] | None = None) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    width, height = size or (pixels.shape[1], pixels.shape[0])
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = b"".join(b"\0" + row.tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


ONE = np.zeros((1, 1, 3), np.uint8)
BAD = {
    "text": (b"this is not a picture\n", "is not an image"),
    "empty": (b"", "is not an image"),
    "truncated": (jpeg()[:900], "is damaged"),
    "header only": (jpeg()[:20], "a.jpg"),
    "one pixel": (png(ONE), "only 1 x 1 pixels"),
    "bomb": (png(ONE, size=(12_000, 10_000)), "million pixels"),
    "large bomb": (png(ONE, size=(60_000, 60_000)), "million pixels"),
    "broken data": (png(picture()).replace(b"IDAT", b"IDAX"), "a.jpg"),
}


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("content, words", BAD.values(), ids=BAD)
def test_bad_files_are_one_sentence(tmp_path: Path, content: bytes, words: str):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught, pytest.raises(InputError) as error:
        warnings.simplefilter("always")
        read_image(path)
    assert words in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not caught


@pytest.mark.robust("pictures")
def test_a_missing_file_and_a_folder(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.robust("pictures")
def test_floating_point_pixels_are_refused(tmp_path: Path):
    Image.fromarray(np.zeros((32, 32), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="floating-point"):
        read_image(tmp_path / "a.tif")
