"""Images as clients send them: recognized by their content, bounded, and written anew without anything but pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

NOT_AN_IMAGE = "Upload a valid image. The file you uploaded was either not an image or a corrupted image."

_TYPES = {
    "PNG": ("image/png", "png"),
    "JPEG": ("image/jpeg", "jpg"),
    "WEBP": ("image/webp", "webp"),
    "GIF": ("image/gif", "gif"),
}
EXTENSIONS = tuple(extension for _, extension in _TYPES.values())
_OPTIONS: dict[str, dict[str, Any]] = {
    # Plans are drawings: they shrink well enough with little effort, and somebody waits.
    "PNG": {"compress_level": 4},
    "JPEG": {"quality": 90},
    "WEBP": {"quality": 90},
    "GIF": {},
}


_MAX_SCANS = 100
"""A progressive JPEG has some ten. Each goes over all pixels, and a few bytes are enough for one."""
_SCAN = b"\xff\xda"


class ImageInvalid(ValueError):
    """An image that is not taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that was made of one that somebody sent. ``width`` and ``height`` are pixels."""

    content: bytes
    media_type: str
    extension: str
    width: int
    height: int


def normalized(data: bytes, max_size: int, max_pixels: int) -> Picture:
    """The picture in ``data``, in its format: turned upright, its first frame, without metadata.

    At most ``max_size`` bytes and ``max_pixels`` are looked at; pixels are counted before they are decoded. Raises
    ImageInvalid.
    """
    if len(data) > max_size:
        raise ImageInvalid(f"The image has {len(data)} bytes, more than the {max_size} that are allowed.")
    if (size := _webp_size(data)) is not None:
        # Its decoder asks for all memory that it is going to need before it tells how much that is.
        _require_few_pixels(size, max_pixels)
    try:
        with Image.open(BytesIO(data), formats=tuple(_TYPES)) as image:
            _require_few_pixels(image.size, max_pixels)
            if image.format in ("JPEG", "MPO") and data.count(_SCAN) > _MAX_SCANS:
                raise ImageInvalid(f"The image has more than {_MAX_SCANS} scans.")
            return _rewritten(image)
    except ImageInvalid:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageInvalid(f"The image has more than the {max_pixels} pixels that are allowed.") from None
    except Exception as error:  # whatever a decoder raises at bytes that somebody made up
        raise ImageInvalid(NOT_AN_IMAGE) from error


def _rewritten(image: Any) -> Picture:
    # A JPEG of a camera may hold several pictures, and then says that it is something else.
    kind = "JPEG" if image.format == "MPO" else image.format
    image.load()
    upright = ImageOps.exif_transpose(image)
    if kind == "JPEG" and upright.mode not in ("L", "RGB"):
        upright = upright.convert("RGB")
    transparency = upright.info.get("transparency")
    upright.info = {} if transparency is None else {"transparency": transparency}
    written = BytesIO()
    upright.save(written, format=kind, **_OPTIONS[kind])
    return Picture(written.getvalue(), *_TYPES[kind], *upright.size)


def _require_few_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageInvalid(f"The image has {width} x {height} pixels, more than the {max_pixels} that are allowed.")


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a WebP file tells (RFC 9649); None if it is no such file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF
