"""Standard streams as a command needs them: open, able to print any name, and without a say in how a run ends."""

from __future__ import annotations

import codecs
import io
import os
import sys

_NAMES = "camviz.names"  # how characters are written that the encoding of a stream lacks


class _Lossy(io.FileIO):
    """A file whose failed writes are ignored: a full disk or a closed terminal must not stop a run."""

    def write(self, data: object) -> int:
        """Write bytes, or drop them."""
        try:
            return super().write(data)  # type: ignore[arg-type]  # bytes, as FileIO takes them
        except OSError:
            return len(memoryview(data))  # type: ignore[arg-type]  # as above


def prepare_streams() -> None:
    """Make the standard streams usable, whatever they are connected to.

    Descriptors that are closed become the null device, so that no result is written to a file that got their number.
    Bytes of file names that are not UTF-8 pass unchanged; errors of stderr are ignored.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, "r", closefd=False))
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)
    codecs.register_error(_NAMES, _spell)
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, _NAMES)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    if sys.stderr is None or isinstance(sys.stderr, io.TextIOWrapper):
        encoding = getattr(sys.stderr, "encoding", None)
        raw = _Lossy(2, "w", closefd=False)
        sys.stderr = io.TextIOWrapper(raw, encoding, "backslashreplace", write_through=True)


def discard_stdout() -> None:
    """Drop what is left to print if it cannot be written: Python would try again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spell(error: UnicodeError) -> tuple[bytes, int]:
    """Return the bytes of a name that are not UTF-8 as they are, and other characters as escapes."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    pairs = ((ord(character) - 0xDC00, character) for character in text)
    parts = [
        bytes([b]) if 0x80 <= b <= 0xFF else character.encode("ascii", "backslashreplace") for b, character in pairs
    ]
    return b"".join(parts), error.end
