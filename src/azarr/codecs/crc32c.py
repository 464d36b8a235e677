"""`crc32c`: four bytes of checksum, little-endian, after what they guard. Verified on every read."""

from azarr.codecs.base import BytesBytes, Configuration, settings
from azarr.codecs.registry import load
from azarr.errors import ChecksumError, ChunkDecodeError
from azarr.scratch import Buffer, Bytes, Scratch, view


class Crc32c(BytesBytes):
    """The checksum of RFC 3720, by google-crc32c."""

    speed = 8.0
    growth = 1.0

    def __init__(self, name: str, configuration: Configuration) -> None:
        settings(name, configuration)

    def encoded_size(self, size: int) -> int | None:
        return size + 4

    def decode(self, data: Buffer, size: int | None, bound: int, out: Bytes | None, scratch: Scratch) -> Buffer:
        if len(data) < 4:
            raise ChunkDecodeError(f"{len(data)} bytes are too few to hold a checksum")
        raw = view(data)
        stated, actual = raw[-4:].tobytes(), _checksum(raw[:-4])
        if stated != actual:
            raise ChecksumError(f"crc32c is {actual[::-1].hex()}, but {stated[::-1].hex()} is stored with it")
        return raw[:-4]

    def encode(self, data: Buffer) -> Buffer:
        raw = view(data)
        return raw.tobytes() + _checksum(raw)


def _checksum(data: Bytes) -> bytes:
    return load("google_crc32c", "crc32c", "pip install google-crc32c").value(data).to_bytes(4, "little")
