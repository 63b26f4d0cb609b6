"""The archives of guywire.archive against those of the standard library and of netjsonconfig."""

from __future__ import annotations

import gzip
import io
import random
import tarfile

import netjsonconfig
import pytest
from guywire.archive import compress, pack
from guywire.interfaces import ArchiveFile

LENGTHS = (1, 20, 99, 100, 101, 155, 255, 256, 984, 985, 986, 987, 988, 990, 991, 992, 2000)


def tarfile_pack(files: list[ArchiveFile]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", encoding="utf-8") as tar:
        for file in files:
            member = tarfile.TarInfo(file.path)
            member.size, member.mode, member.mtime = len(file.content), file.mode, 0
            tar.addfile(member, io.BytesIO(file.content))
    return buffer.getvalue()


def gzip_compress(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8191, 8192, 9216, 100_000])
def test_a_file_of_any_size_is_packed_as_tarfile_does(size: int) -> None:
    files = [ArchiveFile("etc/config/network", b"x" * size, 0o644)]
    assert pack(files) == tarfile_pack(files)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_path_of_any_length_is_packed_as_tarfile_does(length: int) -> None:
    for path in ("a" * length, "d/" * (length // 2) + "f", "é" + "a" * (length - 1), "a" * (length - 1) + "中"):
        files = [ArchiveFile(path, b"content")]
        assert pack(files) == tarfile_pack(files), path


def test_random_files_are_packed_and_compressed_as_the_standard_library_does() -> None:
    chance = random.Random(1)
    for _ in range(150):
        files = [
            ArchiveFile(
                "".join(chance.choices("abc/é._-", k=chance.choice(LENGTHS))),
                chance.randbytes(chance.randrange(3000)) + b"text " * chance.randrange(300),
                chance.randrange(0o10000),
            )
            for _ in range(chance.randrange(5))
        ]
        tar = pack(files)
        assert tar == tarfile_pack(files)
        assert compress(tar) == gzip_compress(tar)


def test_no_files_give_a_valid_archive_without_members() -> None:
    assert compress(pack([])) == netjsonconfig.OpenWrt({}).generate().getvalue()


def test_files_arrive_complete_in_the_given_order_with_their_modes() -> None:
    files = [ArchiveFile("b", "caffè è".encode(), 0o755), ArchiveFile("a", b"", 0o600), ArchiveFile("x/" * 80, b"1")]
    with tarfile.open(fileobj=io.BytesIO(compress(pack(files)))) as tar:
        found = [ArchiveFile(member.name, tar.extractfile(member).read(), member.mode) for member in tar]
    assert found == [*files[:2], ArchiveFile(("x/" * 80).rstrip("/"), b"1")]


def test_what_a_tar_cannot_hold_is_refused() -> None:
    for path in ("nul\0l", "\ud800"):
        with pytest.raises(ValueError):
            pack([ArchiveFile(path, b"")])
