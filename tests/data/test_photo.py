import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import image_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from galore.data import photo
from galore.data.photo import read_image, read_size
from galore.errors import InputError

SAMPLES = image_files.samples()

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


@pytest.mark.robust("pictures")
def test_transparency_is_laid_on_white(tmp_path: Path):
    alpha = np.full((32, 48, 1), 255, np.uint8)
    alpha[:16] = 0
    alpha[16:, 24:] = 128
    Image.fromarray(np.concatenate([picture(), alpha], axis=2)).save(tmp_path / "a.png")
    half = np.round(QUARTERS[1, 1] * (128 / 255) + 255 * (127 / 255)).astype(int)
    expected = np.array([[[255] * 3, [255] * 3], [QUARTERS[1, 0], half]])
    np.testing.assert_allclose(quarters_of(read_image(tmp_path / "a.png")), expected, atol=1)


@pytest.mark.robust("pictures")
def test_a_transparent_palette_entry_is_white(tmp_path: Path):
    indexed = Image.fromarray(picture()).quantize(4)
    first = np.asarray(indexed)[0, 0]
    indexed.save(tmp_path / "a.png", transparency=int(first))
    found = quarters_of(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_allclose(found[1], QUARTERS[1].astype(int), atol=2)


@pytest.mark.robust("pictures")
def test_grey_with_alpha(tmp_path: Path):
    Image.new("LA", (32, 32), (10, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_cmyk_jpeg(tmp_path: Path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    np.testing.assert_allclose(quarters_of(read_image(tmp_path / "a.jpg")), QUARTERS.astype(int), atol=12)


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str):
    values = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    found = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found[:, :, 0], values / 65535 * 255, atol=0.51)


@pytest.mark.robust("pictures")
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


@pytest.mark.robust("pictures that turn")
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


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- What decides about a format is the list, and what a file holds.


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("kind", SAMPLES)
def test_every_format_of_the_list_is_decoded_whatever_the_name(tmp_path: Path, kind: str):
    path = write(tmp_path / "a.txt", SAMPLES[kind])
    assert photo.is_image(path)
    pixels = read_image(path)
    assert min(pixels.shape[:2]) == 40 and read_size(path) == pixels.shape[:2]


@pytest.mark.parametrize("name", ["a.jpg", "a.eps", "a.png"])
def test_what_other_programs_would_draw_is_refused_whatever_the_name(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("a program was started"))
    path = write(tmp_path / name, image_files.postscript())
    assert not photo.is_image(path)
    with pytest.raises(InputError, match="is not an image"):
        read_image(path)
    assert not photo.suffixes() & {".eps", ".ps", ".wmf", ".emf", ".pdf"}


@pytest.mark.robust("special files")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.jpg")
    for path in (tmp_path / "a.jpg", "/dev/zero"):
        with pytest.raises(InputError, match="no regular file"):
            read_image(path)


# -- Pixels are turned by the orientation tag alone, and no metadata stop a picture.

CONTAINERS = {
    "jpeg": ("JPEG", {"quality": 100, "subsampling": 0}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff, lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "avif": ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
}


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("tag", sorted(UPRIGHT))
def test_every_container_is_turned_by_its_orientation(tmp_path: Path, container: str, tag: int):
    kind, options = CONTAINERS[container]
    exif = Image.Exif()
    exif[274] = tag
    path = write(tmp_path / "a", image_files.encode(picture(), kind, exif=exif, **options))
    expected = UPRIGHT[tag](picture())
    found = photo.read(path)
    np.testing.assert_allclose(quarters_of(found.pixels), quarters_of(expected), atol=4)
    assert found.pixels.shape == expected.shape and found.orientation == tag and not found.notes
    assert photo.read_header(path) == (*expected.shape[:2], tag)


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("container", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("tag", sorted(UPRIGHT))
def test_text_where_a_number_belongs_does_not_stop_a_turned_picture(tmp_path: Path, container: str, tag: int):
    kind, options = CONTAINERS[container]
    exif = image_files.exif_with_text_for_a_number(tag)
    path = write(tmp_path / "a", image_files.encode(picture(), kind, exif=exif, **options))
    expected = UPRIGHT[tag](picture())
    np.testing.assert_allclose(quarters_of(read_image(path)), quarters_of(expected), atol=4)


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_orientations_that_do_not_exist_turn_nothing(tmp_path: Path, tag: int):
    exif = image_files.exif_with_text_for_a_number(tag)
    path = write(tmp_path / "a", image_files.encode(picture(), "PNG", exif=exif))
    np.testing.assert_array_equal(read_image(path), picture())


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.robust("pictures that turn")
@pytest.mark.parametrize("container", ["jpeg", "webp", "tiff"])
def test_other_words_about_orientation_turn_nothing(tmp_path: Path, container: str):
    kind, options = CONTAINERS[container]
    more = {"tiffinfo": {700: XMP}} if kind == "TIFF" else {"xmp": XMP}
    path = write(tmp_path / "a", image_files.encode(picture(), kind, **more, **options))
    assert photo.read(path).orientation == 1 and read_image(path).shape == picture().shape
    assert read_size(path) == picture().shape[:2]


def chunk(name: bytes, data: bytes, check: int | None = None) -> bytes:
    check = zlib.crc32(name + data) if check is None else check
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


BOMB = zlib.compress(bytes(100_000_000), level=1)
ODD_CHUNKS = {
    "text that is a bomb": chunk(b"zTXt", b"Comment\0\0" + BOMB),
    "international text that is a bomb": chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB),
    "profile that is a bomb": chunk(b"iCCP", b"name\0\0" + BOMB),
    "profile that is no profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")),
    "profile without an end": chunk(b"iCCP", b"name"),
    "text with a wrong checksum": chunk(b"tEXt", b"Comment\0words", check=1),
    "resolution without numbers": chunk(b"pHYs", b""),
    "gamma without numbers": chunk(b"gAMA", b""),
    "exif that is noise": chunk(b"eXIf", b"\1\2\3"),
    "exif in hexadecimal that is none": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz"),
    "animation without numbers": chunk(b"acTL", b""),
}
ODD_SEGMENTS = {
    "exif that is noise": segment(0xE1, b"Exif\0\0\1\2\3"),
    "exif that is cut": segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff"),
    "a profile without its number": segment(0xE2, b"ICC_PROFILE\0"),
    "a profile that is no profile": segment(0xE2, b"ICC_PROFILE\0\1\1no profile"),
    "a list of pictures that is noise": segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "a list of pictures that is cut": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x05\0"),
    "a list of two pictures that are not there": segment(
        0xE2,
        b"MPF\0II*\0" + struct.pack("<IHHHI4sHHIII", 8, 2, 0xB000, 7, 4, b"0100", 0xB001, 4, 1, 2, 0),
    ),
    "Photoshop's resources that are cut": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\x10\0"),
    "an Adobe segment that is cut": segment(0xEE, b"Adobe"),
    "a JFIF segment that is cut": segment(0xE0, b"JFIF\0"),
    "a thumbnail that is noise": segment(0xE0, b"JFXX\0\x10" + bytes(range(64))),
}


@pytest.mark.robust("metadata of pictures")
@pytest.mark.parametrize("odd", ODD_CHUNKS)
def test_odd_chunks_do_not_stop_a_png(tmp_path: Path, odd: str):
    whole = png(picture())
    path = write(tmp_path / "a", whole[:33] + ODD_CHUNKS[odd] + whole[33:])
    np.testing.assert_array_equal(read_image(path), picture())


@pytest.mark.robust("metadata of pictures")
@pytest.mark.parametrize("odd", ODD_SEGMENTS)
def test_odd_segments_do_not_stop_a_jpeg(tmp_path: Path, odd: str):
    whole = image_files.encode(picture(), "JPEG", quality=95)
    path = write(tmp_path / "a", whole[:2] + ODD_SEGMENTS[odd] + whole[2:])
    np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(io.BytesIO(whole))))


ODD_TAGS = {
    "resolutions of text, in centimetres": {282: ("x", 2), 283: ("y", 2), 296: (3, 3)},
    "an EXIF block beyond the file": {34665: (2**31, 4)},
    "XMP that is a number": {700: (3, 3)},
    "a profile that is text": {34675: ("x", 2)},
    "Photoshop's resources that are numbers": {34377: (3, 3)},
}


@pytest.mark.robust("metadata of pictures")
@pytest.mark.parametrize("tag", [1, 3, 6])
@pytest.mark.parametrize("odd", ODD_TAGS)
def test_odd_tags_do_not_stop_a_tiff(tmp_path: Path, odd: str, tag: int):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[274] = tag
    for number, (value, kind) in ODD_TAGS[odd].items():
        info.tagtype[number] = kind
        info[number] = value
    path = write(tmp_path / "a", image_files.encode(picture(), "TIFF", tiffinfo=info))
    np.testing.assert_array_equal(read_image(path), UPRIGHT[tag](picture()))


# -- Colours are those that a viewer shows.


def as_srgb(pixels: np.ndarray) -> np.ndarray:
    """Adobe RGB's numbers as those of sRGB, by their definitions (sRGB to XYZ of D50: Lindbloom)."""
    srgb = np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    linear = (pixels / 255) ** image_files.ADOBE_GAMMA @ (np.linalg.inv(srgb) @ image_files.ADOBE).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


MUTED = np.array([[[170, 90, 80], [90, 150, 100]], [[90, 100, 160], [128, 128, 128]]], np.uint8)


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("container", CONTAINERS)
def test_wide_colours_become_those_of_srgb(tmp_path: Path, container: str):
    kind, options = CONTAINERS[container]
    stored = MUTED.repeat(16, 0).repeat(24, 1)
    content = image_files.encode(stored, kind, icc_profile=image_files.adobe_profile(), **options)
    found = photo.read(write(tmp_path / "a", content))
    np.testing.assert_allclose(quarters_of(found.pixels), as_srgb(MUTED.astype(float)), atol=4)
    assert abs(as_srgb(MUTED.astype(float)) - MUTED).max() > 10 and not found.notes


@pytest.mark.robust("pictures")
def test_wide_colours_under_transparency_and_in_palettes(tmp_path: Path):
    stored = Image.fromarray(MUTED.repeat(16, 0).repeat(24, 1))
    clear, palette = stored.convert("RGBA"), stored.quantize(4)
    clear.putalpha(128)
    profile = image_files.adobe_profile()
    expected = as_srgb(MUTED.astype(float))
    path = write(tmp_path / "a", image_files.encode(palette, "PNG", icc_profile=profile))
    np.testing.assert_allclose(quarters_of(read_image(path)), expected, atol=3)
    path = write(tmp_path / "a", image_files.encode(clear, "PNG", icc_profile=profile))
    np.testing.assert_allclose(quarters_of(read_image(path)), 255 + (expected - 255) * 128 / 255, atol=3)


@pytest.mark.robust("metadata of pictures")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("profile", ["noise", "of another space"])
def test_a_profile_that_cannot_be_used_is_told(tmp_path: Path, kind: str, profile: str):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    content = {"noise": b"no profile" * 20, "of another space": lab}[profile]
    plain = image_files.encode(picture(), kind)
    odd = image_files.encode(picture(), kind, icc_profile=content)
    found = photo.read(write(tmp_path / "a", odd))
    assert len(found.notes) == 1 and "colour profile" in found.notes[0]
    np.testing.assert_array_equal(found.pixels, read_image(write(tmp_path / "b", plain)))


RAMP = np.linspace(0, 65535, 32 * 48).reshape(32, 48).astype(np.uint16)


@pytest.mark.robust("pictures")
def test_sixteen_bit_grey_with_a_transparent_value(tmp_path: Path):
    whole = png(RAMP.astype(">u2"), bits=16, colour_type=0)
    clear = int(RAMP[10, 10])
    path = write(tmp_path / "a", whole[:33] + chunk(b"tRNS", struct.pack(">H", clear)) + whole[33:])
    expected = np.where(clear == RAMP, 255, np.round(RAMP / 257))
    np.testing.assert_allclose(read_image(path)[:, :, 0], expected, atol=0.51)


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_with_a_transparent_value(tmp_path: Path, bits: int):
    values = np.random.default_rng(0).integers(0, 2**bits, (16, 16))
    digits = (values[..., None] >> np.arange(bits)[::-1]) & 1
    packed = np.packbits(digits.reshape(16, -1).astype(np.uint8), axis=1)
    whole = png(packed, bits=bits, colour_type=0, size=(16, 16))
    path = write(tmp_path / "a", whole[:33] + chunk(b"tRNS", struct.pack(">H", 1)) + whole[33:])
    expected = np.where(values == 1, 255, np.round(values * 255 / (2**bits - 1)))
    np.testing.assert_array_equal(read_image(path)[:, :, 0], expected)


def tiff(values: np.ndarray, bits: int, photometric: int, order: str = "<") -> bytes:
    """One strip of greys, little-endian or big-endian."""
    height, width = values.shape
    if bits == 16:
        data = values.astype(f"{order}u2").tobytes()
    else:
        digits = (values[..., None] >> np.arange(bits)[::-1]) & 1
        data = np.packbits(digits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    numbers = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags = sorted((numbers | {279: len(data)}).items())
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}I", 8 + len(data)) + data + struct.pack(f"{order}H", 9) + entries + bytes(4)


@pytest.mark.robust("pictures")
@pytest.mark.parametrize(("bits", "photometric"), [(1, 0), (1, 1), (4, 0), (8, 0), (8, 1), (12, 1), (16, 0), (16, 1)])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
def test_tiffs_in_which_white_is_zero_or_the_largest(tmp_path: Path, bits: int, photometric: int, order: str):
    values = np.random.default_rng(0).integers(0, 2**bits, (16, 24))
    share = values / (2**bits - 1)
    found = read_image(write(tmp_path / "a", tiff(values, bits, photometric, order)))
    np.testing.assert_allclose(found[:, :, 1], 255 * (share if photometric else 1 - share), atol=0.51)


# -- Whatever is wrong inside is one sentence.


@pytest.mark.robust("pictures")
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"])
def test_no_library_prints_what_is_wrong_with_a_picture(tmp_path: Path, capfd, compression: str):
    image, stream = Image.fromarray(picture(64, 64)), io.BytesIO()
    (image.convert("1") if compression == "group4" else image).save(stream, "TIFF", compression=compression)
    for place in (8, 20, 60):
        content = bytearray(stream.getvalue())
        content[place : place + 10] = bytes(range(200, 210))
        try:
            read_image(write(tmp_path / "a", bytes(content)))
        except InputError:
            continue
    assert capfd.readouterr() == ("", "")


def test_what_pillow_logs_of_a_damaged_picture_is_not_printed(tmp_path: Path):
    """In a process of its own: the test run handles all logs itself."""
    stream = io.BytesIO()
    Image.fromarray(picture(16, 16)).save(stream, "TIFF")
    content = bytearray(stream.getvalue())
    directory = int.from_bytes(content[4:8], "little")
    for entry in range(directory + 2, directory + 2 + 12 * content[directory], 12):
        if int.from_bytes(content[entry : entry + 2], "little") == 277:  # samples per pixel
            content[entry + 8 : entry + 10] = (42634).to_bytes(2, "little")
    path = write(tmp_path / "a.tif", bytes(content))
    code = (
        "import sys; from galore.data import photo\n"
        "try: photo.read_image(sys.argv[1])\n"
        "except photo.InputError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.robust("mutations")
@given(data=st.data())
@settings(max_examples=120, derandomize=True, suppress_health_check=list(HealthCheck))
def test_mutated_files_are_decoded_or_refused_in_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated"
    content = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    places = st.integers(0, len(content) - 1) | st.integers(0, 100)
    values = st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b""])
    for place, value in data.draw(st.lists(st.tuples(places, values), min_size=1, max_size=8)):
        content[place : place + max(len(value), 1)] = value
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    for way_in in (photo.read, photo.read_header, photo.read_labels):
        try:
            way_in(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error) and "Type-check" not in str(error)
