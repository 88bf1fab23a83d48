"""Bytes of a file as it was before compression, with one-line errors."""

import errno
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from potstill.errors import DamagedError, MissingError
from potstill.files import writing
from potstill.records.formats import Compression

_CHUNK_BYTES = 1 << 16
_ZSTD_LEVEL = 3


@contextmanager
def reading(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    """The decompressed bytes of `path`, as a stream.

    MissingError where it is not there or may not be read, DamagedError where its compression is broken or
    cut short; also for what goes wrong while the block reads.
    """
    with _read_errors(path), open(path, "rb") as file:
        if compression == "gz":
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield io.BufferedReader(unpacked)
        elif compression == "zst":
            yield io.BufferedReader(_ZstdReader(file))
        else:
            yield file


@contextmanager
def compressing(path: Path, compression: Compression) -> Iterator[BinaryIO]:
    """A stream that becomes `path`, compressed, when the block ends well; equal input gives equal bytes."""
    with writing(path) as file:
        if compression == "gz":
            # Neither name nor time goes into the header.
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                yield packed  # type: ignore[misc]
        elif compression == "zst":
            import zstandard

            with zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(file, closefd=False) as packed:
                yield packed
        else:
            yield file


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist. Check the spelling.") from None
    except IsADirectoryError:
        raise MissingError(f"{path} is a folder where a file is wanted.") from None
    except PermissionError:
        raise MissingError(f"{path} may not be read. Give yourself the right to read it.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedError(f"{path} is not whole gzip data ({error}). Copy or make it again.") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise DamagedError(f"{path} cannot be read from the disk ({error.strerror}).") from None


class _ZstdReader(io.RawIOBase):
    """Frames one after another. The library's own stream reader takes a cut frame for the end of the file."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file, self._unpacker = file, zstandard.ZstdDecompressor()
        self._frame = self._unpacker.decompressobj()
        self._is_frame_open, self._ready = False, memoryview(b"")
        self._error = zstandard.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        while not self._ready and (packed := self._next_packed()):
            self._ready = memoryview(self._unpack(packed))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next_packed(self) -> bytes:
        rest = self._frame.unused_data if self._frame.eof else b""
        if self._frame.eof:
            self._frame, self._is_frame_open = self._unpacker.decompressobj(), False
        packed = rest or self._file.read(_CHUNK_BYTES)
        if not packed and self._is_frame_open:
            raise DamagedError(f"{self._file.name} ends within a zstd frame. Copy or make it again.")
        return packed

    def _unpack(self, packed: bytes) -> bytes:
        self._is_frame_open = True
        try:
            return self._frame.decompress(packed)
        except self._error as error:
            raise DamagedError(
                f"{self._file.name} is not zstd data ({error}). Copy or make it again."
            ) from None
