"""Image files of many formats, some with odd metadata, written out for the tests of what reads them."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

ORIENTATION, X_RESOLUTION, RESOLUTION_UNIT = 274, 282, 296


def noise(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def exif_with_text_for_a_number(orientation: int) -> bytes:
    """An EXIF block whose XResolution is text: Pillow reads it, and cannot write it again."""
    entries = struct.pack("<HHII", ORIENTATION, 3, 1, orientation) + struct.pack("<HHI4s", X_RESOLUTION, 2, 4, b"abc\0")
    return b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


def encode(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def samples() -> dict[str, bytes]:
    """One file of every format that is decoded, with metadata where it can have some."""
    colours, second = Image.fromarray(noise()), Image.fromarray(noise(seed=1))
    palette, clear = colours.quantize(16), colours.convert("RGBA")
    grey = Image.fromarray(np.random.default_rng(2).integers(0, 65535, (40, 56)).astype(np.uint16))
    exif = Image.Exif()
    exif[ORIENTATION], exif[X_RESOLUTION] = 6, 72.0
    about = {"exif": exif, "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    text = PngInfo()
    text.add_itxt("Comment", "words " * 20, zip=True)
    return {
        "jpeg": encode(colours, "JPEG", **about),
        "jpeg, progressive": encode(colours, "JPEG", progressive=True, comment=b"words"),
        "jpeg, two pictures": encode(colours, "MPO", save_all=True, append_images=[second], exif=exif),
        "png": encode(colours, "PNG", pnginfo=text, **about),
        "png, palette": encode(palette, "PNG", transparency=3),
        "png, 16 bits": encode(grey, "PNG"),
        "png, animated": encode(colours, "PNG", save_all=True, append_images=[second]),
        "webp": encode(colours, "WEBP", **about),
        "webp, transparent": encode(clear, "WEBP", lossless=True),
        "webp, animated": encode(colours, "WEBP", save_all=True, append_images=[second]),
        "tiff": encode(colours, "TIFF", **about),
        "tiff, lzw": encode(colours, "TIFF", compression="tiff_lzw", exif=exif),
        "tiff, jpeg": encode(colours, "TIFF", compression="jpeg"),
        "tiff, 16 bits": encode(grey, "TIFF"),
        "tiff, fax": encode(colours.convert("1"), "TIFF", compression="group4"),
        "gif": encode(palette, "GIF"),
        "gif, animated": encode(palette, "GIF", save_all=True, append_images=[second.quantize(8)]),
        "avif": encode(colours, "AVIF", **about),
        "dds": encode(clear, "DDS"),
        "dds, compressed": encode(clear, "DDS", pixel_format="DXT5"),
        "bmp": encode(colours, "BMP"),
        "ppm": encode(colours, "PPM"),
        "jpeg 2000": encode(colours, "JPEG2000"),
        "tga": encode(colours, "TGA", compression="tga_rle"),
        "ico": encode(clear.resize((40, 40)), "ICO", sizes=[(40, 40)]),
        "pcx": encode(colours, "PCX"),
        "sgi": encode(colours, "SGI"),
        "qoi": encode(colours, "QOI"),
    }


def postscript() -> bytes:
    """A drawing that is a program; Pillow would hand it to gs."""
    return encode(noise(), "EPS")


ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
"""Adobe RGB (1998), linear, to XYZ of D50: a red, a green and a blue that are wider than those of sRGB."""
ADOBE_GAMMA = 2.2


def adobe_profile() -> bytes:
    """An ICC profile of version 2, written by hand."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def words(text: bytes) -> bytes:
        return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 78)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(ADOBE_GAMMA * 256)) + bytes(2)
    tags = {b"desc": words(b"wide colours"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": fixed(0.9642, 1, 0.8249)}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + tags[b"wtpt"]
    for name, column in zip((b"r", b"g", b"b"), ADOBE.T):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*column)
        tags[name + b"TRC"] = curve
    table, data, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", place + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    head = struct.pack(">I", place + len(data)) + bytes(4) + bytes([2, 0x20, 0, 0]) + b"mntrRGB XYZ "
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + data
