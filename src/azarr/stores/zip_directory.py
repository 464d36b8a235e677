"""The format of zip files, without I/O: where each member lies. Generators ask for ranges of the archive and are sent their bytes.

All that a directory says must lie within the archive, members must not overlap, and their names must be keys: else the archive is refused,
and nothing is allocated. Of a name that is there twice, as where something was written again, the last one counts.
The sections are those of APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

from azarr.codecs.registry import load
from azarr.codecs.streams import ZSTD
from azarr.errors import ChecksumError, CorruptData, InvalidKey, ObjectChanged, StoreError
from azarr.limits import Limits
from azarr.scratch import Buffer, Bytes, view
from azarr.stores.base import ByteRange, Value, check_key

T = TypeVar("T")
TAIL = 128 << 10
"""Bytes that are read first: the end record is in them (4.3.16: 22 bytes and a comment of at most 65,535), and most directories."""
NEAR = 64 << 10
"""Bytes of a member before those that are wanted, which are fetched with them rather than by a request for its header alone."""
SLACK = 4 << 10
"""Bytes for the extra field of a local header, of which the directory says nothing."""
END = struct.Struct("<4s4H2IH")  # 4.3.16
LOCATOR = struct.Struct("<4sIQI")  # 4.3.15
END64 = struct.Struct("<4sQ2H2I4Q")  # 4.3.14
ENTRY = struct.Struct("<4s6H3I5H2I")  # 4.3.12
LOCAL = struct.Struct("<4s5H3I2H")  # 4.3.7
ENCRYPTED, DESCRIPTOR, UTF8, MASKED = 1, 1 << 3, 1 << 11, 1 << 13  # 4.4.4
STORED, DEFLATED = 0, 8
CODECS: dict[int, tuple[tuple[str, str, str], str, tuple[int, ...]]] = {
    DEFLATED: (("zlib", "zlib", "use a Python built with zlib"), "decompressobj", (-15,)),
    12: (("bz2", "bz2", "use a Python built with bz2"), "BZ2Decompressor", ()),
    93: (ZSTD, "ZstdDecompressor", ()),
    95: (("lzma", "lzma", "use a Python built with lzma"), "LZMADecompressor", (1, 128 << 20)),  # FORMAT_XZ, and memory: `xz -9` takes half
}
"""Methods (4.4.5): the module, what makes a decompressor, and its arguments."""
MOST_DEFLATED = 1032
"""A byte of deflated data holds no more."""
WIDE, HALF = 0xFFFFFFFF, 0xFFFF
"""In place of a number that stands in a record of zip64."""
Steps = Generator[ByteRange, Bytes, T]


class Member(NamedTuple):
    """Where a member lies: its local header at `offset`, all of it before `stop`; `packed` bytes that hold `size`."""

    offset: int
    stop: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int


class Directory(NamedTuple):
    """The members of an archive by key, which lies in `keys` in order; `starts` has where their bytes begin, as far as that is known."""

    members: dict[str, Member]
    keys: list[str]
    starts: dict[str, int]
    tail: bytes
    size: int
    version: str | None
    """Of the archive."""

    def checked(self, value: Value | None, byte_range: ByteRange) -> Bytes:
        """The bytes of `value`, which must be those of this very archive in `byte_range`."""
        if value is None or value.version != self.version or value.size not in (None, self.size):
            raise ObjectChanged("the archive was replaced after it had been opened; open it again")
        return exact(value, byte_range)

    def held(self, byte_range: ByteRange) -> Bytes | None:
        """The bytes in `byte_range`, if they came with the directory."""
        start = self.size - len(self.tail)
        return view(self.tail)[byte_range[0] - start : (byte_range[1] or 0) - start] if byte_range[0] >= start else None

    def reading(self, key: str, byte_range: ByteRange | None, limits: Limits) -> Steps[Bytes]:
        """The bytes of a stored member in `byte_range`; of others, all of their bytes, as they are. Asks for (start, stop)."""
        member = self.members[key]
        if member.flags & (ENCRYPTED | MASKED):
            raise StoreError("it is encrypted, which azarr does not read")
        if member.method != STORED and member.method not in CODECS:
            raise StoreError(f"it is compressed by method {member.method}; azarr reads stored ones (0) and {', '.join(map(str, CODECS))}")
        if member.method == STORED:
            start, stop = bounds(byte_range, member.size)
        else:
            limits.check("chunk", member.size, f"the member {key!r}")
            start, stop = 0, member.packed
        if start >= stop or not member.size:
            return view(b"")
        begin = self.starts.get(key)
        if begin is None:
            head = member.offset + LOCAL.size + len(_encoded(key, member.flags)) + SLACK
            wanted = member.offset, min(member.stop, head + (stop if start <= NEAR else 0))
            held = self.held(wanted)
            data = (yield wanted) if held is None else held
            begin = _begin(member, key, data)
            self.starts[key] = begin
            if begin + stop <= wanted[1]:
                return data[begin + start - wanted[0] : begin + stop - wanted[0]]
        wanted = begin + start, begin + stop
        held = self.held(wanted)
        return (yield wanted) if held is None else held

    def finished(self, key: str, data: Bytes, byte_range: ByteRange | None) -> Buffer:
        """What the member has in `byte_range`, of what `reading` gave. What is there as a whole is checked."""
        member = self.members[key]
        if member.method != STORED and member.size:
            data = view(_unpacked(member, data))
        if len(data) == member.size and crc32(data.data) != member.crc:
            raise ChecksumError("its CRC-32 does not match")
        return data if member.method == STORED else data[slice(*bounds(byte_range, member.size))]


class Found(NamedTuple):
    """The directory of an archive as it is stored, and what was said about it."""

    raw: bytes
    entries: int
    begin: int
    shift: int
    """Bytes that stand before the archive, and of which its offsets know nothing."""
    tail: bytes
    size: int
    version: str | None


def finding(limits: Limits) -> Generator[ByteRange, Value, Found]:
    """Find the directory: the end of the archive is asked for, and then what is before it, if anything."""
    last = yield (-TAIL, None)
    tail, size = view(last.data).tobytes(), last.size
    if size is None or len(tail) != min(TAIL, size):
        raise StoreError("the store does not tell the sizes of its objects, so the archive cannot be read by ranges")
    # A comment may hold what looks like an end record. The true one ends where the archive does.
    ends = [at for at in _places(tail, b"PK\5\6") if at + END.size + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)]
    if len(ends) != 1:
        raise CorruptData("it has more than one end record" if ends else "it is no zip file, or its end is missing")
    at, count, length, offset = _end(tail, ends[0])
    begin = size - len(tail) + at - length
    if not 0 <= offset <= begin or count * ENTRY.size > length:
        raise CorruptData("its directory does not lie within the archive")
    limits.check("index", length, "the directory of the archive")
    start = size - len(tail)
    raw = tail[max(begin - start, 0) : at]
    if begin < start:
        value = yield begin, start
        if value.version != last.version or value.size not in (None, size):
            raise ObjectChanged("the archive was replaced while it was being opened; open it again")
        raw = exact(value, (begin, start)).tobytes() + raw
    return Found(raw, count, begin, begin - offset, tail, size, last.version)


def _end(tail: bytes, at: int) -> tuple[int, int, int, int]:
    """Where in `tail` the directory ends; the number of its entries, its length and its offset. `at` is where the end record is."""
    _, disk, first, here, count, length, offset, _ = END.unpack_from(tail, at)
    narrow, place = (disk, first, here, count, length, offset), at
    if at >= LOCATOR.size and tail.startswith(b"PK\6\7", at - LOCATOR.size):
        _, disk64, stated, disks = LOCATOR.unpack_from(tail, locator := at - LOCATOR.size)
        records = [each for each in _places(tail[:locator], b"PK\6\6") if each + END64.size <= locator]
        places = [each for each in records if each + 12 + int.from_bytes(tail[each + 4 : each + 12], "little") == locator]
        if len(places) != 1:
            raise CorruptData("its end record of zip64 is missing")
        place = places[0]
        _, _, _, _, disk, first, here, count, length, offset = END64.unpack_from(tail, place)
        wide = (disk, first, here, count, length, offset)
        if any(one not in (other, full) for one, other, full in zip(narrow, wide, (HALF,) * 4 + (WIDE,) * 2, strict=True)):
            raise CorruptData("its end records contradict each other")
        if disk64 or disks > 1 or stated > offset + length:
            raise CorruptData("its end record of zip64 is said to be elsewhere")
    if disk or first or here != count:
        raise CorruptData("it is one of several parts of an archive (disks), which azarr does not read")
    return place, count, length, offset


def parsed(found: Found) -> Directory:
    """The directory, all of it checked."""
    entries, at = list[tuple[int, int, str, int, tuple[int, int, int, int, int]]](), 0
    for number in range(found.entries):
        if at + ENTRY.size > len(found.raw):
            raise CorruptData("its directory ends too early")
        signature, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, _, offset = ENTRY.unpack_from(found.raw, at)
        name_at, extra_at = at + ENTRY.size, at + ENTRY.size + lengths[0]
        at += ENTRY.size + sum(lengths)
        if signature != b"PK\1\2" or at > len(found.raw):
            raise CorruptData("its directory is damaged")
        extra = found.raw[extra_at : extra_at + lengths[1]]
        size, packed, offset, disk = _widened(extra, (size, packed, offset, disk))
        name = _decoded(found.raw[name_at:extra_at], flags)
        if disk or (method == STORED and packed != size and not flags & ENCRYPTED) or (not size and crc):
            raise CorruptData(f"what its directory says of {name!r} cannot be")
        if method == DEFLATED and size > MOST_DEFLATED * packed:
            raise CorruptData(f"{name!r} is said to hold {size:,} bytes in {packed:,}, which is not possible")
        offset += found.shift
        entries.append((offset, offset + LOCAL.size + lengths[0] + packed, name, number, (packed, size, crc, method, flags)))
    if at != len(found.raw):
        raise CorruptData("its directory has more than its entries")
    entries.sort()
    members, numbers, stop = dict[str, Member](), dict[str, int](), found.begin
    for offset, end, name, number, facts in reversed(entries):
        if end > stop:
            raise CorruptData(f"{name!r} overlaps what is stored after it")
        if numbers.setdefault(name, number) < number and not name.endswith("/"):
            raise CorruptData(f"it has two members of the name {name!r}, and it is not clear which is the last one; pack it anew")
        members.setdefault(name, Member(offset, stop, *facts))
        stop = offset
    keys = sorted(name for name in members if not name.endswith("/"))
    return Directory({key: members[key] for key in keys}, keys, {}, found.tail, found.size, found.version)


def below(keys: Sequence[str], prefix: str) -> Iterator[str]:
    """Of `keys`, which are in order, those below `prefix`."""
    start = f"{check_key(prefix)}/" if prefix else ""
    for position in range(bisect_left(keys, start), len(keys)):
        if not keys[position].startswith(start):
            return
        yield keys[position]


def names_below(keys: Sequence[str], prefix: str) -> Iterator[str]:
    """Names right below `prefix`, of which those of prefixes end in "/"; each subtree is passed over in one step."""
    start = f"{check_key(prefix)}/" if prefix else ""
    position = bisect_left(keys, start)
    while position < len(keys) and keys[position].startswith(start):
        head, slash, _ = keys[position][len(start) :].partition("/")
        yield head + slash
        position = bisect_left(keys, f"{start}{head}0", position) if slash else position + 1  # "0" comes after "/"


def bounds(byte_range: ByteRange | None, size: int) -> tuple[int, int]:
    """Start and stop within an object of `size` bytes."""
    start, stop, _ = slice(*byte_range).indices(size) if byte_range else (0, size, 1)
    return start, max(start, stop)


def exact(value: Value, byte_range: ByteRange) -> Bytes:
    """The bytes of `value`, as many as `byte_range` has."""
    if len(value.data) != (byte_range[1] or 0) - byte_range[0]:
        raise CorruptData("the archive ends before what its directory says is in it")
    return view(value.data)


def _places(data: bytes, signature: bytes) -> Iterator[int]:
    at = data.find(signature)
    while at >= 0:
        yield at
        at = data.find(signature, at + 1)


def _decoded(name: bytes, flags: int) -> str:
    """The name of a member, which is a key, or one with "/" at its end, of a folder (Appendix D: UTF-8, or the code page 437)."""
    try:
        text = name.decode("utf-8" if flags & UTF8 else "cp437")
        check_key(text.removesuffix("/"))
        return text
    except (UnicodeDecodeError, InvalidKey) as error:
        raise CorruptData(f"its member {name!r} has a name that is no key") from error


def _encoded(key: str, flags: int) -> bytes:
    return key.encode("utf-8" if flags & UTF8 else "cp437")


def _widened(extra: bytes, numbers: tuple[int, int, int, int]) -> Sequence[int]:
    """Size, packed size, offset and disk, of which those that are full stand in the extra field of zip64, in this order (4.5.3)."""
    full = (WIDE, WIDE, WIDE, HALF)
    if all(number != most for number, most in zip(numbers, full, strict=True)):
        return numbers
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field, wide = extra[at + 4 : at + 4 + length], list[int]()
            for number, most, width in zip(numbers, full, (8, 8, 8, 4), strict=True):
                if number == most and len(field) < width:
                    raise CorruptData("an extra field of zip64 is too short")
                wide.append(int.from_bytes(field[:width], "little") if number == most else number)
                field = field[width:] if number == most else field
            return wide
        at += 4 + length
    return numbers


def _begin(member: Member, key: str, data: Bytes) -> int:
    """Where the bytes of a member begin, by its local header, which stands in `data` and must say what the directory says."""
    signature, _, flags, method, _, _, crc, packed, size, named, extra = LOCAL.unpack_from(data.data)
    name, begin = _encoded(key, member.flags), LOCAL.size + named + extra
    said = (signature, method, flags & (ENCRYPTED | MASKED), data[LOCAL.size : LOCAL.size + named].tobytes())
    size, packed, *_ = _widened(data[LOCAL.size + named : begin].tobytes(), (size, packed, 0, 0))
    sizes = (size, packed, crc) == (member.size, member.packed, member.crc)
    if said != (b"PK\3\4", member.method, 0, name) or not (sizes or flags & DESCRIPTOR):
        raise CorruptData("its local header says something else than the directory")
    if member.offset + begin + member.packed > member.stop:
        raise CorruptData("it overlaps what is stored after it")
    return member.offset + begin


def _unpacked(member: Member, data: Bytes) -> bytes:
    module, start, arguments = CODECS[member.method]
    decompressor: Any = getattr(load(*module), start)(*arguments)
    try:
        whole: bytes = decompressor.decompress(data, member.size + 1)
    except Exception as error:  # zlib.error, OSError, ZstdError
        raise CorruptData(f"its compressed data are damaged ({error})") from error
    if len(whole) != member.size or not decompressor.eof or decompressor.unused_data:
        raise CorruptData(f"its compressed data do not hold the {member.size:,} bytes that were announced")
    return whole
