"""An image file without what no viewer needs to show it, for files whose metadata stops Pillow.

What is kept: the pixels, how they are coded, and the EXIF block with the orientation.
"""

import struct
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")
_JPEG_KEPT = {b"\xe0": 16, b"\xee": 14}
"""JFIF's header and Adobe's, which says how colours are coded, and how many bytes they have at least."""
_TIFF_KEPT = {254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325}
_TIFF_KEPT |= {330, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532}
"""Tags that say where the pixels are and how they are coded."""


def bare(content: bytes) -> bytes | None:
    """The same picture without its metadata; None for formats of which Pillow needs no help."""
    if content.startswith(_PNG):
        return _png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(content)
    if content[4:8] == b"ftyp":
        # AVIF: an item of another name is none that the decoder looks at.
        return content.replace(b"Exif\0", b"none\0")
    return None


def _png(content: bytes) -> bytes:
    kept, position = [_PNG], len(_PNG)
    while position + 12 <= len(content):
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        name, chunk = content[position + 4 : position + 8], content[position:end]
        is_critical = not name[:1].islower()
        if name in _PNG_KEPT and (is_critical or zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]):
            kept.append(chunk)
        position = end
    return b"".join(kept)


def _jpeg(content: bytes) -> bytes:
    """Without application segments and comments; from the first scan on, everything is kept."""
    kept, position = [content[:2]], 2
    while position + 4 <= len(content) and content[position] == 0xFF and content[position + 1] != 0xDA:
        marker = content[position + 1 : position + 2]
        if marker == b"\xff":  # Filling.
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        is_metadata = b"\xe0" <= marker <= b"\xef" or marker == b"\xfe"
        is_exif = marker == b"\xe1" and content[position + 4 : position + 10] == b"Exif\0\0"
        is_coding = end - position >= _JPEG_KEPT.get(marker, len(content))
        if not is_metadata or is_coding or is_exif:
            kept.append(content[position:end])
        position = end
    return b"".join([*kept, content[position:]])


def _tiff(content: bytes) -> bytes:
    """The tags of the first image alone, and only those that its pixels need; the rest of the file stays in place."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, start)
    except struct.error:
        return content
    entries = [content[start + 2 + 12 * k : start + 14 + 12 * k] for k in range(count)]
    whole = (entry for entry in entries if len(entry) == 12)
    kept = [entry for entry in whole if struct.unpack_from(f"{order}H", entry)[0] in _TIFF_KEPT]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)
    return content[:4] + struct.pack(f"{order}I", len(content)) + content[8:] + directory
