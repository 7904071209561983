"""The contract on imports covers what exists. The imports themselves are checked by import-linter (`make check`)."""

import subprocess
import sys
import tomllib
from pathlib import Path

from repository import PACKAGE, ROOT, module_names

KERNELS = {f"data_sanitizer.{name}" for name in ("steps", "pii", "duplicates", "profile", "data_cleaning")}


def test_imports_go_down_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-4000:]


def test_every_kernel_is_kept_from_the_vendors() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    kept = next(c["source_modules"] for c in contracts if c["id"] == "kernels")
    assert KERNELS & set(module_names()) <= set(kept)


def test_every_folder_of_the_package_is_a_package() -> None:
    folders = {p.parent for p in PACKAGE.rglob("*.py")}
    assert [p.name for p in folders if not (p / "__init__.py").exists()] == []
