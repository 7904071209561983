"""One virtual environment a peer, with the versions of its requirements file; made once, and again when that file changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements")


def python_of(peer: str, cache: Path) -> Path:
    """The interpreter of the peer's environment, which is made if it is not there."""
    requirements = REQUIREMENTS / f"{peer}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = cache / "environments" / peer
    python, stamp = folder / "bin" / "python", folder / "made-from"
    if not (stamp.exists() and stamp.read_text() == wanted and python.exists()):
        print(f"Making the environment of {peer}.", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "--no-deps", "-r", requirements]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python.absolute()


def version(peer: str) -> str:
    """The pinned version of the peer itself."""
    pins = dict(line.split("==") for line in (REQUIREMENTS / f"{peer}.txt").read_text().split())
    return pins[peer]
