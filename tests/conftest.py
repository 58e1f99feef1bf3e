"""Says at the top of a run which optional tests are left out, and how to have them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

LLAMA_SERVER = Path(__file__).parents[1] / ".cache/llama/llama-server"
_HAVE_LLAMA = LLAMA_SERVER.exists() and find_spec("gguf") is not None

# Left out rather than skipped: it takes ten minutes of compiling, and continuous integration skips nothing.
collect_ignore = [] if _HAVE_LLAMA else ["live/test_llama_server.py"]


def pytest_report_header() -> str:
    """One line on llama.cpp's server."""
    return f"llama-server: {LLAMA_SERVER if _HAVE_LLAMA else 'tests left out; `make llama-server` builds it'}"
