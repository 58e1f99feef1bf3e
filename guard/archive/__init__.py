"""The log as Parquet, on a disk or in object storage: for what a database should not carry for years.

An archive is a folder: ``{table}/day=YYYY-MM-DD/*.parquet`` and ``manifest/{version}.json``. The newest manifest names
the files that count; every change writes new files first and then one manifest, so a reader sees all of a change or
nothing of it, and a run that is killed leaves nothing that counts. `guard.archive.storage` says what a file system must
promise.
"""

from __future__ import annotations

from guard.errors import MissingExtra

try:
    import fsspec  # noqa: F401
    import pyarrow  # noqa: F401
except ModuleNotFoundError as missing:
    raise MissingExtra(f"an archive needs {missing.name!r}: pip install 'premise-guard[archive]'") from None

from guard.archive.archive import Archive, Report
from guard.archive.verifying import Comparison

__all__ = ["Archive", "Comparison", "Report"]
