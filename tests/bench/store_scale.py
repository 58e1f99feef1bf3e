"""How long the store takes to find things among a million interruptions, on SQLite and on PostgreSQL.

Run ``python -m tests.bench.store_scale [--rows 1000000] [--on sqlite postgresql] [--only WORDS] [--keep FOLDER]
[--url URL] [--plans 5] [--json FILE]``. It builds a log of synthetic rows (`store_rows`) through the real tables,
indexes and triggers, then asks every filter, every pair of filters, deep pages, words and sums (`store_cases`), and
prints p50, p95 and the longest in ms; groups whose p95 is over 100 ms are marked. `cpu` is the p95 of the
time that this thread and the server's process computed: the rest is waiting, for a disk or for a busy machine. Nothing
is asserted of the times.

PostgreSQL is a server of the benchmark's own without fsync, with default memory; `--url` measures a database that
stands elsewhere and is filled if it is empty. `--keep` leaves SQLite's file where it is, to be used again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from guard.store import Database, Filter
from tests.bench.store_cases import Case, cases
from tests.bench.store_fill import fill
from tests.bench.store_rows import NOW

LIMIT_MS = 100
# One process a query, so that its time can be told.
_SETTINGS = ("checkpoint_timeout=1h", "max_parallel_workers_per_gather=0")


@dataclass(kw_only=True)
class Group:
    """Measurements of one kind, in seconds."""

    name: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    slowest: list[tuple[float, float, str]] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        wall, cpu = sorted(self.wall), sorted(self.cpu)
        times = {"p50": _at(wall, 0.5), "p95": _at(wall, 0.95), "max": wall[-1], "cpu": _at(cpu, 0.95)}
        told = {name: round(value * 1000, 1) for name, value in times.items()}
        slowest = [
            [round(took * 1000, 1), round(own * 1000, 1), label]
            for took, own, label in sorted(self.slowest, key=lambda one: one[1], reverse=True)[:5]
        ]
        return {"name": self.name, "queries": len(wall), **told, "slow": told["p95"] > LIMIT_MS, "slowest": slowest}


def _at(values: Sequence[float], part: float) -> float:
    return values[min(int(len(values) * part), len(values) - 1)]


def measure(database: Database, only: str, repeat: int) -> list[Group]:
    """Each case `repeat` times, by group."""
    groups: dict[str, Group] = {}
    for name, label, ask in cases(database):
        if only not in f"{name} {label}":
            continue
        group = groups.setdefault(name, Group(name=name))
        busy = _busy(database)
        for _ in range(repeat):
            wall, cpu = time.perf_counter(), busy()
            ask()
            group.wall.append(time.perf_counter() - wall)
            group.cpu.append(busy() - cpu)
            group.slowest.append((group.wall[-1], group.cpu[-1], label))
    return list(groups.values())


def _busy(database: Database) -> Callable[[], float]:
    """The seconds that this thread has computed, and the server's process for it where that is on this machine."""
    if database.dialect == "sqlite":
        return time.thread_time
    with database._engine.connect() as connection:
        file = Path(f"/proc/{connection.scalar(sa.text('SELECT pg_backend_pid()'))}/schedstat")
    return (lambda: time.thread_time() + int(file.read_text().split()[0]) / 1e9) if file.exists() else time.thread_time


# Plans


def plans(database: Database, made: Iterator[Case], labels: set[tuple[str, str]]) -> Iterator[str]:
    """The database's own account of how it answers these cases."""
    prefix = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN (ANALYZE, BUFFERS) "
    for name, label, ask in made:
        if (name, label) in labels:
            yield f"## {name}: {label}"
            with _statements(database) as statements:
                ask()
            for statement, values in statements:
                with database._engine.connect() as connection:
                    plan = connection.exec_driver_sql(prefix + statement, values)
                    yield f"{' '.join(statement.split())[:400]}\n" + "\n".join(
                        f"    {str(row[-1])[:200]}" for row in plan
                    )


@contextlib.contextmanager
def _statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            found.append((statement, values))

    sa.event.listen(database._engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(database._engine, "before_cursor_execute", note)


# The command


@contextlib.contextmanager
def opened(kind: str, rows: int, keep: Path | None) -> Iterator[Database]:
    """A filled database of this kind or at this URL."""
    with contextlib.ExitStack() as stack:
        url = kind if "://" in kind else _made(kind, rows, keep, stack)
        database = Database(url, clock=lambda: NOW)
        database.open()
        stack.callback(database.close)
        if not database.interruptions(Filter(limit=1)):
            fill(database, rows)
        yield database


def _made(kind: str, rows: int, keep: Path | None, stack: contextlib.ExitStack) -> str:
    if kind == "sqlite":
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="guard-scale-")))
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder}/{rows}.db"
    from tests.store.postgres import Server

    server = Server("fsync=off", "full_page_writes=off", "max_wal_size=8GB", *_SETTINGS)
    stack.callback(server.stop)
    server.start()
    server.execute("CREATE DATABASE scale")
    return server.url("scale")


def table(groups: Sequence[dict[str, Any]]) -> str:
    """The groups as a table, with the longest case of those that are slow."""
    lines = [f"{'':34}{'queries':>8}{'p50':>9}{'p95':>9}{'max':>9}{'cpu':>9}"]
    for group in groups:
        times = "".join(f"{group[name]:9.1f}" for name in ("p50", "p95", "max", "cpu"))
        mark = f"  > {LIMIT_MS} ms: {group['slowest'][0][2]}" if group["slow"] else ""
        lines.append(f"{group['name']:34}{group['queries']:8}{times}{mark}")
    return "\n".join(lines)


def run(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Build, measure and print one database."""
    print(kind, flush=True)
    with opened(kind, options.rows, options.keep) as database:
        rows = database.count(Filter())
        print(f"{rows:,} rows", flush=True)
        load = os.getloadavg()[0]
        groups = [group.report() for group in measure(database, options.only, options.repeat)]
        print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores; ms")
        print(table(groups), flush=True)
        slowest = sorted((own, group["name"], label) for group in groups for _, own, label in group["slowest"])
        labels = {(name, label) for _, name, label in slowest[max(len(slowest) - options.plans, 0) :]}
        for line in plans(database, cases(database), labels) if labels else ():
            print(line)
        return {"database": database.dialect, "rows": rows, "load": load, "groups": groups}


def _number(text: str) -> int:
    number = int(text.replace(",", "").replace("_", ""))
    if number < 1:
        raise ValueError(text)
    return number


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=_number, default=1_000_000, help="interruptions to write; default 1,000,000")
    both = ["sqlite", "postgresql"]
    parser.add_argument("--on", nargs="+", default=both, choices=both, help="databases to measure; default both")
    parser.add_argument("--url", help="a store that stands elsewhere, instead of those")
    parser.add_argument("--only", default="", help="only cases whose group and filter contain this")
    parser.add_argument("--repeat", type=_number, default=3, help="times that each case is asked; default 3")
    parser.add_argument("--plans", type=int, default=0, help="print the plans of so many of the slowest cases")
    parser.add_argument("--keep", type=Path, help="a folder for SQLite's file, which stays")
    parser.add_argument("--json", type=Path, help="write the results there too")
    options = parser.parse_args()
    reports = [run(options, kind) for kind in ([options.url] if options.url else options.on)]
    if options.json:
        options.json.write_text(json.dumps(reports, indent=1))


if __name__ == "__main__":
    main()
