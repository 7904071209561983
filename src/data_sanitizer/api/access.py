"""Who asks, and what they may: the key, its scopes, its rate. The same 401 for an unknown tenant, an unknown key and a revoked one."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from data_sanitizer import api_keys
from data_sanitizer.api._rates import ADDRESSES
from data_sanitizer.api.problems import refused
from data_sanitizer.api.service import Service, service
from data_sanitizer.errors import ServiceRefused

_REMEMBERED: Final = 3.0  # seconds for which a checked key is not looked up again: a revocation takes effect within them
_MOST: Final = 10_000
_NOBODY: Final = bytes(32)
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="`TENANT:KEY`, as `data-sanitizer keys create` prints it.")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a tenant, by one of its keys."""

    tenant: str
    key: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"key:{self.key}"

    def must_have(self, scope: str) -> None:
        """Raise insufficient-scope where the key lacks it."""
        if scope not in self.scopes and "admin" not in self.scopes:
            raise refused("insufficient-scope", scope=scope)


def needs(scope: str) -> Any:
    """A dependency: the caller, whose key has this scope and has not asked too often."""

    def check(request: Request, given: Annotated[str | None, Security(_HEADER)], found: Annotated[Service, Depends(service)]) -> Caller:
        caller = _known(given or "", found)
        if caller is None:
            raise _not_let_in(request, found)
        _count(request, found, caller)
        caller.must_have(scope)
        return caller

    return Depends(check)


def _known(given: str, found: Service) -> Caller | None:
    remembered = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    caller, until = found.known_keys.get(remembered, (None, 0.0))
    if time.monotonic() < until:
        return caller if isinstance(caller, Caller) else None
    caller = checked(given, found)
    if caller is not None:
        if len(found.known_keys) >= _MOST:
            found.known_keys.clear()
        found.known_keys[remembered] = (caller, time.monotonic() + _REMEMBERED)
        found.storage.touch_key(caller.tenant, caller.key)
    return caller


def checked(given: str, found: Service) -> Caller | None:
    """The caller of a header; the same work is done whether the tenant, the key or the secret is wrong."""
    tenant, _, text = given.partition(":")
    parts = api_keys.parsed(text)
    if parts is None or not api_keys.is_tenant(tenant):
        return None
    stored = found.storage.find_key(tenant, parts[0])
    right = hmac.compare_digest(api_keys.digest(found.pepper, parts[1]), stored.digest if stored else _NOBODY)
    if stored is None or not right or not stored.usable:
        return None
    return Caller(tenant, stored.id, frozenset(stored.scopes))


def _count(request: Request, found: Service, caller: Caller) -> None:
    most = found.settings.key_requests
    verdict = found.rates.hit(caller.tenant, f"key:{caller.key}", most)
    request.scope["state"]["rate"] = (most, verdict.left, verdict.wait)
    request.scope["state"]["tenant"] = caller.tenant
    if verdict.wait:
        raise _too_many(verdict.wait)


def _not_let_in(request: Request, found: Service) -> ServiceRefused:
    """The refusal of a key; an address that has had too many of them has to wait."""
    request.scope["state"]["security"] = "key_refused"
    place = hashlib.sha256(address(request, found.settings.trusted_proxies).encode()).hexdigest()[:32]
    verdict = found.rates.hit(ADDRESSES, place, found.settings.address_refusals)
    return _too_many(verdict.wait) if verdict.wait else refused("unauthorized")


def _too_many(wait: int) -> ServiceRefused:
    return refused("rate-limited", wait=wait, headers={"Retry-After": str(wait)})


def address(request: Request, proxies: int) -> str:
    """Where the request comes from; what X-Forwarded-For says counts only as far as trusted proxies wrote it."""
    direct = request.client.host if request.client else "unknown"
    hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    return hops[-proxies] if 0 < proxies <= len(hops) else direct


def known_parameters(request: Request) -> None:
    """A dependency: refuse parameters that the route does not know, before anything is done."""
    route: Any = request.scope["route"]
    known = sorted(_names(route.dependant))
    if unknown := sorted({name for name in request.query_params if name not in known}):
        raise refused("unknown-parameter", what=", ".join(unknown)[:200], known=", ".join(known) or "none")


def _names(dependant: Any) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_names(inner) for inner in dependant.dependencies))


Found = Annotated[Service, Depends(service)]
Check = Callable[..., Caller]
