"""The POSIX tar format, byte for byte the same under every version of Python, as digests need it."""

from __future__ import annotations

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
MTIME_S = 315532800  # 1980-01-01T00:00:00Z: the first time that a zip file can hold too

FILE, SYMLINK, DIRECTORY, _EXTENDED = b"0", b"2", b"5", b"x"

_NAME_BYTES, _PREFIX_BYTES, _SIZE_LIMIT_BYTES = 100, 155, 8**11


def header(
    name: str, kind: bytes, *, mode: int, size_bytes: int = 0, target: str = "", user_id: int = 0
) -> bytes:
    """The header of one member, of `user_id` and root's group; an extended one goes before it only where it must.

    Raises UnicodeEncodeError for a name or target that is not Unicode.
    """
    raw_name, raw_target = name.encode(), target.encode()
    prefix, short = _split(raw_name)
    extended = {
        b"path": raw_name if short is None or not name.isascii() else b"",
        b"linkpath": raw_target if len(raw_target) > _NAME_BYTES or not target.isascii() else b"",
        b"size": b"%d" % size_bytes if size_bytes >= _SIZE_LIMIT_BYTES else b"",
    }
    records = b"".join(_record(key, value) for key, value in extended.items() if value)
    before = b""
    if records:
        about = _block(b"PaxHeader", _EXTENDED, mode=0o644, size_bytes=len(records))
        before = about + records + padding(len(records))
    if extended[b"path"]:
        prefix, short = b"", _ascii(name)
    size = 0 if extended[b"size"] else size_bytes
    link = _ascii(target) if extended[b"linkpath"] else raw_target
    return before + _block(
        short or b"", kind, mode=mode, size_bytes=size, target=link, prefix=prefix, user_id=user_id
    )


def content_bytes(size_bytes: int) -> int:
    """How much `size_bytes` of content take, filled up to whole blocks."""
    return size_bytes + -size_bytes % BLOCK_BYTES


def padding(size_bytes: int) -> bytes:
    """The zeros that fill the last block of `size_bytes` of content."""
    return bytes(-size_bytes % BLOCK_BYTES)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """The prefix and name fields, or None for the name when it does not fit into them."""
    if len(name) <= _NAME_BYTES:
        return b"", name
    cut = name.find(b"/", len(name) - _NAME_BYTES - 1)
    if 0 < cut <= _PREFIX_BYTES and cut < len(name) - 1:
        return name[:cut], name[cut + 1 :]
    return b"", None


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")[:_NAME_BYTES]


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits too."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d" % length + body


def _block(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    size_bytes: int,
    target: bytes = b"",
    prefix: bytes = b"",
    user_id: int = 0,
) -> bytes:
    fields = (
        name.ljust(_NAME_BYTES, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % user_id,
        b"0000000\0",  # group: root
        b"%011o\0" % size_bytes,
        b"%011o\0" % MTIME_S,
        b" " * 8,  # the checksum counts itself as spaces
        kind,
        target.ljust(_NAME_BYTES, b"\0"),
        b"ustar\x0000",
        bytes(64),  # no user and group names: they differ between machines
        b"0000000\0" * 2,  # device
        prefix.ljust(_PREFIX_BYTES, b"\0"),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
