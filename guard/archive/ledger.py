"""An archive's versions: which one is the newest, and how the next one comes to be.

Knows manifests and the names of files; does not know rows. A version is committed by creating its manifest, which one
run of any number can do. Rules:

- A data file names in its path the version it was written for. Once that version is committed, one that it does not
  name is never going to be named: it is what a run that lost, or was killed, left behind, or what a newer file
  replaced, and may be deleted at once. What a run at work is writing is for a version that is still to come.
- Manifests long gone by are deleted, oldest first. Creating one of these anew would be no commit; whoever creates a
  manifest looks whether the one that it builds on still stands as it was.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from guard.archive.manifest import TABLES, Manifest, decode, encode, path_of, version_of, written_for
from guard.archive.storage import Storage
from guard.errors import ConfigError, StoreError

KEPT = 100
"""Manifests that are kept behind the newest. A run that so many others have overtaken starts anew."""

_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Ledger:
    """The versions that lie in a storage."""

    storage: Storage

    def newest(self) -> Manifest:
        """The version that counts.

        Raises:
            ConfigError: no archive is here.
            StoreError: it cannot be read.
        """
        for _ in range(_LOOKS):
            versions = self._versions()
            if not versions:
                raise ConfigError(f"{self.storage.shown!r} holds no archive; guard archive --to makes one")
            try:
                return decode(self.storage.read(path_of(versions[-1])), self.storage.shown)
            except FileNotFoundError:
                continue  # a hundred versions came between the listing and the reading
        raise StoreError(f"archive {self.storage.shown!r} lists manifests that it does not have")

    def begin(self) -> None:
        """Make the first version where nothing is.

        Raises:
            ConfigError: the place holds something else, or cannot create a file exclusively.
        """
        if self._versions():
            return
        if self.storage.names() - {"manifest"} and not self._versions():
            raise ConfigError(f"{self.storage.shown!r} holds something else than an archive; name an empty folder")
        first = encode(Manifest(version=0, run=secrets.token_hex(8)))
        self.storage.create(path_of(0), first)
        if self.storage.create(path_of(0), first):
            raise ConfigError(
                f"archive {self.storage.shown!r}: its file system writes over a file that was to be created anew, so "
                "two runs could undo each other; use another one, or a newer version of its package"
            )

    def commit(self, base: Manifest, new: Manifest) -> bool:
        """Make `new`, built on `base`, the version that counts; False if another one has come first."""
        ours = self.storage.create(path_of(new.version), encode(new))
        try:
            # A storage that did not hear its own answer may have asked twice: what stands there may be ours.
            ours = ours or self.storage.read(path_of(new.version)) == encode(new)
            return ours and self.storage.read(path_of(base.version)) == encode(base)
        except FileNotFoundError:
            return False

    def sweep(self) -> int:
        """Delete what no version names any more; returns how many files."""
        newest = self.newest()
        found = [path for folder in (*TABLES, "manifest") for path in self.storage.find(folder)]
        dead = [path for path in found if path not in newest.paths and _is_past(path, newest.version)]
        self.storage.delete(dead)
        self.storage.delete(path_of(version) for version in self._versions() if version < newest.version - KEPT)
        return len(dead)

    def _versions(self) -> list[int]:
        found = (version_of(path) for path in self.storage.find("manifest"))
        return sorted(version for version in found if version is not None)


def _is_past(path: str, version: int) -> bool:
    aim = written_for(path)
    return aim is not None and aim <= version
