"""How a store declares a setting: a field of a frozen dataclass that names its variables in the environment and its meaning."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(default: Any, meaning: str, *variables: str, secret: bool = False) -> Any:
    """A field of a settings class; the first of the variables that is set counts. A secret is shown nowhere."""
    return field(default=default, repr=not secret, metadata={"variables": variables, "meaning": meaning, "secret": secret})
