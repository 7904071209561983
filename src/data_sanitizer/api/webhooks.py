"""Addresses that are told when a job ends, by the scheme of Standard Webhooks: signed, sent at least once, under an id that stays."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Response

from data_sanitizer import logs, outbound
from data_sanitizer.api.access import Caller, Found, needs
from data_sanitizer.api.problems import refused
from data_sanitizer.api.schemas import NewWebhook, Webhook, Webhooks
from data_sanitizer.api.service import Service
from data_sanitizer.errors import DataSanitizerError, NotStored, ServiceRefused
from data_sanitizer.storage_backend import Message, new_id

router = APIRouter(tags=["webhooks"])
_MOST: Final = 10  # addresses of one tenant
_GIVEN_UP: Final = 24 * 3600.0  # seconds after which a message is tried no more
_LOOK: Final = 2.0
Admin = Annotated[Caller, needs("admin")]


@router.post("/webhooks", response_model=Webhook, status_code=201)
def add(given: NewWebhook, found: Found, caller: Admin) -> Any:
    """Have an address told when a job ends. The secret that the messages are signed with is shown this once."""
    if not found.settings.webhooks:
        raise refused("not-supported", what="The operator of the service has not switched webhooks on.")
    if len(found.storage.webhooks(caller.tenant)) >= _MOST:
        raise refused("not-supported", what=f"A tenant has at most {_MOST} webhooks.")
    outbound.target(given.url, found.settings.webhook_hosts.split())
    webhook = new_id()
    found.storage.add_webhook(caller.tenant, webhook, given.url, caller.actor)
    found.storage.insert_audit_log(caller.tenant, caller.actor, "webhook.added", f"webhook:{webhook}")
    return {"id": webhook, "url": given.url, "secret": f"whsec_{base64.b64encode(_secret(found, caller.tenant, webhook)).decode()}"}


@router.get("/webhooks", response_model=Webhooks)
def listed(found: Found, caller: Admin) -> Any:
    """The addresses that are told."""
    return {"webhooks": [{"id": webhook, "url": url} for webhook, url in found.storage.webhooks(caller.tenant)]}


@router.delete("/webhooks/{webhook_id}", status_code=204, response_class=Response)
def delete(webhook_id: UUID, found: Found, caller: Admin) -> Response:
    """Tell an address no more."""
    try:
        found.storage.delete_webhook(caller.tenant, webhook_id)
    except NotStored as error:
        raise refused("not-found") from error
    found.storage.insert_audit_log(caller.tenant, caller.actor, "webhook.deleted", f"webhook:{webhook_id}")
    return Response(status_code=204)


def _secret(found: Service, tenant: str, webhook: UUID) -> bytes:
    """Made of the pepper and the webhook's name, so that the database holds none."""
    return hmac.new(found.pepper, f"webhook {tenant} {webhook}".encode(), hashlib.sha256).digest()[:24]


def signed(secret: bytes, message: str, moment: int, body: bytes) -> dict[str, str]:
    """The headers of a message; who gets it counts the signature again, and refuses a moment more than five minutes away."""
    digest = hmac.new(secret, f"{message}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": message, "webhook-timestamp": str(moment), "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
            "content-type": "application/json", "user-agent": "data-sanitizer"}  # fmt: skip


class Relay:
    """Passes messages on, in a thread of its own. Several may do so at once: then some are sent twice, under the same id."""

    def __init__(self, found: Service) -> None:
        self._found, self._stop = found, threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, when the message at hand is sent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK):
            try:
                self.once()
            except DataSanitizerError as error:
                logs.tell("webhooks.waiting", logging.WARNING, error=error.code)

    def once(self) -> int:
        """Send what is due; gives how many messages were."""
        count = 0
        for tenant in self._found.storage.told_tenants():
            addresses = self._found.storage.webhooks(tenant) if self._found.settings.webhooks else []
            for message in self._found.storage.messages(tenant):
                count += 1
                self._pass_on(tenant, addresses, message)
        return count

    def _pass_on(self, tenant: str, addresses: list[tuple[UUID, str]], message: Message) -> None:
        failed = [why for webhook, url in addresses if (why := self._failed(tenant, webhook, url, message))]
        if failed and message.age < _GIVEN_UP:
            self._found.storage.message_failed(tenant, message, failed[0])
            return
        if failed:
            logs.tell("webhooks.given_up", logging.WARNING, tenant=tenant, message=str(message.id), why=failed[0])
        self._found.storage.message_done(tenant, message.id)

    def _failed(self, tenant: str, webhook: UUID, url: str, message: Message) -> str | None:
        """Send a message to one address, which is checked again; gives why that failed."""
        state = str(message.payload["state"])
        data = {"job_id": message.payload["job_id"], "status": "failed" if state == "dead" else state}
        told = {"type": f"job.{data['status']}", "timestamp": message.created_at.isoformat(), "data": data}
        body = json.dumps(told, separators=(",", ":")).encode()
        headers = signed(_secret(self._found, tenant, webhook), str(message.id), int(time.time()), body)
        try:
            status = self._found.post(outbound.target(url, self._found.settings.webhook_hosts.split()), body, headers)
        except ServiceRefused as error:
            return error.reason
        return None if 200 <= status < 300 else f"answered {status}"
