"""Where an archive's files lie: a folder of this machine, or anything that fsspec reaches.

Knows bytes under relative paths; does not know what they mean. What an archive asks of a storage:

- `create` makes a file exclusively and whole: of any number of processes that create one path, one succeeds, and
  nobody ever reads a part of it. Here that is a hard link to a file that is on the disk; of a file system behind
  fsspec it is asked as mode "create" (S3: If-None-Match, Google Cloud Storage: a generation match), and a new
  archive's first version tries whether it keeps the promise.
- What was written is found by the next listing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import fsspec

from guard.errors import ConfigError, GuardError, MissingExtra, StoreError

_SECRET = re.compile(r"(?<=://)[^/@]*@|\?.*")
_LOCAL = {"file", "local"}
_PART = ".part"


class Storage(Protocol):
    """Files under relative paths with ``/``. FileNotFoundError means just that; all else that fails is StoreError."""

    shown: str
    """The place as messages name it."""

    def names(self) -> set[str]:
        """Of the files and folders that lie right here; none where the place is not there yet."""
        ...

    def find(self, folder: str) -> list[str]:
        """The paths of all files in a folder and below, in order; none where there is no such folder."""
        ...

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises FileNotFoundError."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """A file to read at any place. Raises FileNotFoundError."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Make a file, whole and on the disk when this returns; False if there is one of that path."""
        ...

    def put(self, path: str, source: IO[bytes]) -> None:
        """Copy a file here, under a path that nobody else uses."""
        ...

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files; those that are gone already are none's concern."""
        ...


def storage(url: str) -> Storage:
    """The storage at a path or an fsspec URL (``s3://bucket/log``). Nothing is opened or made yet.

    Raises:
        ConfigError: no such kind of URL.
        MissingExtra: its file system is not installed.
    """
    shown = _SECRET.sub("", url)
    if not url.strip():
        raise ConfigError(f"archive {url!r} is no place; name a folder or a URL such as s3://bucket/log")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtra(f"archive {shown!r} needs a file system that is not installed: {error}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"archive {shown!r} cannot be used: {error}; name a folder or an fsspec URL") from None
    protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
    return Disk(Path(path), shown) if protocols & _LOCAL else Objects(system, path.rstrip("/"), shown)


@contextmanager
def told(shown: str) -> Iterator[None]:
    """Turn what a file system raises into StoreError, but for FileNotFoundError, which its caller understands."""
    try:
        yield
    except (FileNotFoundError, GuardError):
        raise
    except Exception as error:  # a file system of fsspec raises classes of its client
        said = " ".join(str(error).split()) or type(error).__name__
        raise StoreError(f"archive {shown!r}: {said}; see that it can be reached and written") from error


class Disk:
    """A folder of this machine's."""

    def __init__(self, root: Path, shown: str) -> None:
        self.shown = shown
        self._root = root

    def names(self) -> set[str]:
        """See Storage."""
        with told(self.shown):
            return {path.name for path in self._root.iterdir()} if self._root.exists() else set()

    def find(self, folder: str) -> list[str]:
        """See Storage."""
        with told(self.shown):
            found = (Path(at, name) for at, _, names in os.walk(self._root / folder) for name in names)
            return sorted(path.relative_to(self._root).as_posix() for path in found)

    def read(self, path: str) -> bytes:
        """See Storage."""
        with told(self.shown):
            return (self._root / path).read_bytes()

    def open(self, path: str) -> IO[bytes]:
        """See Storage."""
        with told(self.shown):
            return (self._root / path).open("rb")

    def create(self, path: str, data: bytes) -> bool:
        """See Storage. The file is linked to its name once it is on the disk."""
        target = self._root / path
        part = target.with_name(f"{target.stem}-{os.getpid()}-{os.urandom(4).hex()}{_PART}")
        with told(self.shown):
            self._folder(target.parent)
            try:
                _flushed(part, data)
                os.link(part, target)
            except (FileExistsError, FileNotFoundError):
                return False  # another run has made the file, and perhaps swept this part away as what a loser left
            finally:
                part.unlink(missing_ok=True)
            _sync(target.parent)
        return True

    def put(self, path: str, source: IO[bytes]) -> None:
        """See Storage."""
        target = self._root / path
        with told(self.shown):
            self._folder(target.parent)
            with target.open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            _sync(target.parent)

    def delete(self, paths: Iterable[str]) -> None:
        """See Storage. Folders stay: another process may be about to write into one."""
        with told(self.shown):
            for path in paths:
                (self._root / path).unlink(missing_ok=True)

    def _folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # a caller would take it for a file's
            raise StoreError(f"archive {self.shown!r}: {error}; name one that can be made") from None
        for parent in (folder, *folder.parents):
            _sync(parent)
            if parent == self._root.parent:
                return


class Objects:
    """What fsspec reaches: object storage, mostly."""

    def __init__(self, system: Any, root: str, shown: str) -> None:
        self.shown = shown
        self._system = system
        self._root = root

    def names(self) -> set[str]:
        """See Storage."""
        self._system.invalidate_cache()
        with told(self.shown):
            try:
                return {PurePosixPath(path).name for path in self._system.ls(self._root, detail=False)}
            except FileNotFoundError:
                return set()

    def find(self, folder: str) -> list[str]:
        """See Storage."""
        self._system.invalidate_cache()
        with told(self.shown):
            try:
                found = self._system.find(self._path(folder))
            except FileNotFoundError:
                return []
        return sorted(str(PurePosixPath(path).relative_to(self._root or "/")) for path in found)

    def read(self, path: str) -> bytes:
        """See Storage."""
        with told(self.shown):
            return bytes(self._system.cat_file(self._path(path)))

    def open(self, path: str) -> IO[bytes]:
        """See Storage."""
        with told(self.shown):
            opened: IO[bytes] = self._system.open(self._path(path), "rb")
            return opened

    def create(self, path: str, data: bytes) -> bool:
        """See Storage."""
        with told(self.shown):
            try:
                self._system.pipe_file(self._path(path), data, mode="create")
            except FileExistsError:
                return False
        return True

    def put(self, path: str, source: IO[bytes]) -> None:
        """See Storage."""
        with told(self.shown), self._system.open(self._path(path), "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def delete(self, paths: Iterable[str]) -> None:
        """See Storage."""
        with told(self.shown):
            for path in paths:
                with suppress(FileNotFoundError):
                    self._system.rm_file(self._path(path))

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"


def _flushed(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have the folder's names on the disk, where folders can be flushed."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
