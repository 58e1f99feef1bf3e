"""Which process will close an interruption, and whether it is still there.

Knows process ids and host names, nothing of records. A container is a host of its own name, so its process
ids are never looked up in another.
"""

from __future__ import annotations

import functools
import os
import socket
import uuid


@functools.cache
def _boot() -> str:
    return uuid.uuid4().hex[:12]


def name() -> str:
    """This process: host, process id, and a token that a later process of the same id has not."""
    return f"{socket.gethostname()}/{os.getpid()}/{_boot()}"


def is_gone(owner: str) -> bool:
    """Whether that process certainly lives no more. One on another host is never certain."""
    host, pid, token = owner.rsplit("/", 2)
    if host != socket.gethostname():
        return False
    return token != _boot() if int(pid) == os.getpid() else not _alive(int(pid))


def _alive(pid: int) -> bool:
    if os.name == "nt":
        # There, signal 0 would be Ctrl-C: only `grace` decides.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
