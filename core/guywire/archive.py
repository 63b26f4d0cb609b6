"""Configuration archives: the same files always give the same bytes, those of netjsonconfig's ``generate()``.

Neither step goes through ``tarfile`` or ``gzip``: a router downloads its configuration again when one byte of the
tar differs, so no upgrade of Python may change what is written here. (Ten times faster is a welcome extra.)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from .interfaces import ArchiveFile

_BLOCK = 512
_RECORD = 20 * _BLOCK
_NAME_LENGTH = 100
_MAX_SIZE = 8**11

# name, mode, uid, gid, size, mtime, checksum, type, link name, magic and version; the rest of a block is zeros
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s")
_CHECKSUM = slice(148, 156)

# No name, no time, "maximum compression", "unknown system": what GzipFile(mtime=0) writes
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


def pack(files: Sequence[ArchiveFile]) -> bytes:
    """The uncompressed tar of these files, in the given order, owned by root and of no date.

    Sizes are those of the bytes, so text in any language arrives complete. Paths that are longer than 100
    characters or not ASCII get a pax header, as ``tarfile`` would write it. Raises ValueError for a path that UTF-8
    or tar cannot express and for a file of 8 GiB or more.
    """
    blocks: list[bytes] = []
    for file in files:
        blocks += _member(file)
    blocks.append(bytes(2 * _BLOCK))
    length = sum(map(len, blocks))
    blocks.append(bytes(-length % _RECORD))
    return b"".join(blocks)


def compress(tar: bytes) -> bytes:
    """The gzip of a tar at level 9, without a date, byte for byte what ``gzip.GzipFile(mtime=0)`` gives."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    trailer = struct.pack("<LL", zlib.crc32(tar), len(tar) & 0xFFFFFFFF)
    return b"".join((_GZIP_HEADER, deflate.compress(tar), deflate.flush(), trailer))


def _member(file: ArchiveFile) -> list[bytes]:
    """Header, content and padding of one file, behind a pax header when the path needs one."""
    if "\0" in file.path:
        raise ValueError(f"a path cannot hold a null character: {file.path!r}")
    if len(file.content) >= _MAX_SIZE:
        raise ValueError(f"too large for a configuration archive: {file.path}")
    blocks = []
    if not file.path.isascii() or len(file.path) > _NAME_LENGTH:
        record = _pax_record(b"path", file.path.encode())
        blocks += [_header(b"././@PaxHeader", len(record), 0, b"x"), record, bytes(-len(record) % _BLOCK)]
    name = file.path[:_NAME_LENGTH].encode("ascii", "replace")
    size = len(file.content)
    return [*blocks, _header(name, size, file.mode, b"0"), file.content, bytes(-size % _BLOCK)]


def _header(name: bytes, size: int, mode: int, kind: bytes) -> bytes:
    """One ustar header block."""
    number, date = b"0000000\0", b"00000000000\0"
    fields = (name, b"%07o\0" % (mode & 0o7777), number, number, b"%011o\0" % size, date)
    blank = _HEADER.pack(*fields, b" " * 8, kind, b"", b"ustar\x0000")
    checksum = b"%06o\0 " % sum(blank)
    return b"".join((blank[: _CHECKSUM.start], checksum, blank[_CHECKSUM.stop :], bytes(_BLOCK - len(blank))))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """A pax record, ``<length> <key>=<value>``, whose length counts its own digits too."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)
