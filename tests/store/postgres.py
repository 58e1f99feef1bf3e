"""A PostgreSQL server of the tests' own, from the programs of an installed package."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


class Missing(Exception):
    """Why no server can be had."""


class Server:
    """A server in a folder of its own, reached by a socket in it. Nothing in it outlives the test run."""

    def __init__(self, *options: str) -> None:
        self._as_user = _unprivileged()
        self._programs = _programs()
        self._options = options
        self.folder = Path(tempfile.mkdtemp(prefix="guard-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        data = str(self.folder / "data")
        made = self._run("initdb", "-D", data, "-U", "guard", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        if made.returncode:
            raise Missing(made.stderr.decode().strip().splitlines()[-1])

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = ("listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=50", *self._options)
        options = [part for setting in settings for part in ("-c", setting)]
        program = [*self._as_user, str(self._programs / "postgres"), "-D", str(self.folder / "data"), *options]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(program, stdout=log, stderr=log, cwd="/")
        log.close()
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise Missing((self.folder / "log").read_text()[-300:]) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """End it as a loss of power would, and wait until all of its processes are gone."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        time.sleep(0.5)

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """A store's URL."""
        return f"postgresql://guard@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _dsn(self, database: str) -> str:
        return f"host={self.folder} user=guard dbname={database}"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [*self._as_user, str(self._programs / program), *arguments]
        return subprocess.run(command, capture_output=True, check=False, cwd="/")


def _programs() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing("neither on the PATH nor under /usr/lib/postgresql is there an initdb; install PostgreSQL's server")


def _unprivileged() -> list[str]:
    """What to put before a program, since PostgreSQL refuses to be run by root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise Missing("root may not run it, and there is no user postgres") from None
    if not shutil.which("setpriv"):
        raise Missing("root may not run it, and there is no setpriv to be someone else with")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
