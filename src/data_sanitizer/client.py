"""The Python client of the service: hand in a table, wait, get the report and the result, look at what was done.

client = Client("https://clean.example.com", "acme:dsk_live_…")
job = client.ingest(file="customers.csv", dataset_name="customers")
client.wait(job)
client.download(job, "cleaned.parquet")
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self
from urllib.parse import quote

from data_sanitizer.errors import InputNotFound, OutputExists, ServiceRefused

if TYPE_CHECKING:
    import httpx

_ENDS: Final = ("success", "failed", "cancelled")
_AGAIN: Final = (408, 429, 500, 502, 503, 504)
_LONGEST: Final = 30.0  # seconds between two tries
_WAIT: Final = 20  # seconds that the service holds an answer back until something changes
_PIECE: Final = 1 << 20
Told = Callable[[dict[str, Any]], None]


class Client:
    """A connection to the service as one tenant. Raises ServiceRefused, whose `reason` is the code of the answer.

    `key` is `TENANT:KEY`, as `data-sanitizer keys create` prints it. A request that is lost is made again `tries` times at most; one that
    makes a job carries an idempotency key, so that it makes one job however often it is sent.
    """

    def __init__(self, url: str, key: str, *, tries: int = 5, timeout: float = 60.0, verify: bool | str = True) -> None:
        import httpx

        self.tenant = key.partition(":")[0]
        self._tries = max(1, tries)
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/api/v1", headers={"X-API-Key": key}, timeout=timeout, verify=verify)
        self._elsewhere = httpx.Client(timeout=timeout, verify=verify)  # for object stores: they must not see the key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()
        self._elsewhere.close()

    def ingest(self, file: str | Path | BinaryIO, dataset_name: str | None = None, *, idempotency_key: str | None = None,
               told: Callable[[int], None] | None = None, **options: Any) -> str:  # fmt: skip
        """Hand a table in; gives the id of its job. Options: `recipe`, `output_format`, `reading`, `priority`; with `dataset` it is a
        delivery to that dataset, and `accept_changes=True` publishes it whatever its contract says.

        `told` gets the number of bytes sent so far. The file is sent as it is, and never held in memory as a whole.
        """
        asked = {"dataset_name": dataset_name, **options}
        parameters = {"options": json.dumps({k: v for k, v in asked.items() if v is not None})}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex, "Content-Type": "application/octet-stream"}
        with ExitStack() as opened:
            stream = opened.enter_context(_opened(file)) if isinstance(file, str | Path) else file
            start, name = stream.tell(), Path(str(getattr(stream, "name", "upload"))).name
            parameters["filename"] = name

            def body() -> Iterator[bytes]:
                stream.seek(start)
                while piece := stream.read(_PIECE):
                    yield piece
                    if told:
                        told(stream.tell() - start)

            answer = self._asked("POST", f"/datasets/{self.tenant}/ingest", params=parameters, headers=headers, content=body)
        return str(answer.json()["job_id"])

    def ingest_url(self, source_url: str, dataset_name: str | None = None, *, idempotency_key: str | None = None, **options: Any) -> str:
        """Have the service fetch a table from a place that its operator allows; gives the id of the job."""
        asked = {"source_url": source_url, "dataset_name": dataset_name, **options}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = {k: v for k, v in asked.items() if v is not None}
        return str(self._asked("POST", f"/datasets/{self.tenant}/ingest", headers=headers, json=body).json()["job_id"])

    def get_status(self, job_id: str) -> dict[str, Any]:
        """The job: `status` (queued, running, success, failed, cancelled), `progress`, `error`, `rows`."""
        return self._object("GET", f"/jobs/{job_id}")

    def wait(self, job_id: str, *, timeout: float | None = None, told: Told | None = None) -> dict[str, Any]:
        """Wait for the end of a job; `told` gets its status at each change. Raises ServiceRefused (`failed`, `cancelled`, `timeout`)."""
        until = None if timeout is None else time.monotonic() + timeout
        tag, status = "", self.get_status(job_id)
        while status["status"] not in _ENDS:
            if until is not None and time.monotonic() >= until:
                raise ServiceRefused(reason="timeout", why=f"Job {job_id} is still {status['status']}; it goes on.")
            held = _WAIT if until is None else max(0, min(_WAIT, int(until - time.monotonic())))
            headers = {"If-None-Match": tag} if tag else {}
            answer = self._asked("GET", f"/jobs/{job_id}", params={"wait": held}, headers=headers)
            if answer.status_code == 200:
                status, tag = answer.json(), answer.headers.get("etag", "")
                if told:
                    told(status)
        if status["status"] != "success":
            error = status.get("error") or {}
            reason = str(error.get("code") or status["status"])
            raise ServiceRefused(reason=reason, why=str(error.get("title") or f"Job {job_id} was {status['status']}."), job=job_id)
        return status

    def get_report(self, job_id: str) -> dict[str, Any]:
        """The report, as report.json."""
        return self._object("GET", f"/jobs/{job_id}/report")

    def report_page(self, job_id: str) -> str:
        """The report as a page that works offline."""
        return str(self._asked("GET", f"/jobs/{job_id}/report", params={"format": "html"}).text)

    def download(self, job_id: str, output: str | Path | None = None, *, format: str | None = None,  # noqa: A002
                 formula_guard: bool = True, force: bool = False, told: Callable[[int], None] | None = None) -> bytes | Path:  # fmt: skip
        """The cleaned table as parquet, csv, jsonl or xlsx: its bytes, or with `output` the file that was written.

        A file appears when it is complete; a download that breaks off goes on where it stopped.
        """
        asked = {"format": format, "formula_guard": None if formula_guard else "off"}
        parameters = {name: value for name, value in asked.items() if value}
        if output is None:
            answer = self._asked("GET", f"/jobs/{job_id}/download", params=parameters)
            return bytes(answer.content if answer.status_code != 307 else self._elsewhere.get(answer.headers["location"]).content)
        target = Path(output)
        if target.exists() and not force:
            raise OutputExists(path=target)
        aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            self._into(aside, f"/jobs/{job_id}/download", parameters, told)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return target

    def _into(self, path: Path, url: str, parameters: Mapping[str, str], told: Callable[[int], None] | None) -> None:
        """Write what is under a URL into a file, in pieces; again from where it broke off, as long as it is the same."""
        import httpx

        tag = ""
        with path.open("wb") as file:
            for last in _tries(self._tries):
                more = {"Range": f"bytes={file.tell()}-", "If-Range": tag} if tag and file.tell() else {}
                try:
                    with self._http.stream("GET", url, params=parameters, headers=more) as answer:
                        if answer.status_code in _AGAIN and not last:
                            continue
                        if answer.status_code == 307:
                            with self._elsewhere.stream("GET", answer.headers["location"], headers=more) as stored:
                                tag = _checked(stored).headers.get("etag", "")
                                _written(stored, file, told)
                        else:
                            tag = _checked(answer).headers.get("etag", "")
                            _written(answer, file, told)
                    return
                except httpx.TransportError as error:
                    if last:
                        raise _unreachable(error) from error

    def ledger(self, job_id: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every entry of the ledger; filters: `row`, `column`, `rule`, `action`, `source`, `min_confidence`, `max_confidence`, `reveal`."""
        return self._pages(f"/jobs/{job_id}/ledger", "entries", {"limit": 1000, **filters})

    def clusters(self, job_id: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """Every cluster of duplicates; filters: `kind`, `decision`, `max_confidence`."""
        return self._pages(f"/jobs/{job_id}/clusters", "clusters", {"limit": 200, **filters})

    def jobs(self, status: str | None = None) -> Iterator[dict[str, Any]]:
        """The jobs of the tenant, the newest first."""
        return self._pages("/jobs", "jobs", {"status": status, "limit": 200})

    def audit_log(self, job_id: str) -> Iterator[dict[str, Any]]:
        """What was done with a job, by whom."""
        return self._pages(f"/jobs/{job_id}/audit-log", "entries", {"limit": 1000})

    def decide(self, job_id: str, cluster: str, decision: str) -> None:
        """Keep a decision about a cluster: `duplicate`, `not_a_duplicate`, `skip`."""
        self._asked("POST", f"/jobs/{job_id}/clusters/{cluster}/decision", json={"decision": decision})

    def undo(self, job_id: str, **choice: Any) -> str:
        """Take changes back: `row`, `column`, `rule`, `cluster`, `source`, `everything`; gives the id of the new job, done already."""
        return str(self._asked("POST", f"/jobs/{job_id}/undo", json=choice).json()["id"])

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Ask that a job be cancelled."""
        return self._object("POST", f"/jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Delete a job that is at its end, with its input and result."""
        self._asked("DELETE", f"/jobs/{job_id}")

    def datasets(self) -> list[dict[str, Any]]:
        """The datasets of the tenant, with the number of their deliveries."""
        return list(self._object("GET", f"/datasets/{self.tenant}")["datasets"])

    def deliveries(self, dataset: str) -> list[dict[str, Any]]:
        """What was delivered to a dataset, in order."""
        return list(self._object("GET", f"{self._place(dataset)}/deliveries")["deliveries"])

    def entity_events(self, dataset: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """What happened to the ids of entities; filters: `kind`, `entity`, `delivery`."""
        return self._pages(f"{self._place(dataset)}/events", "events", {"limit": 1000, **filters})

    def split(self, dataset: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Decide that rows (`delivery`, `row`, `source`) are not the same entity as the others of theirs; gives what happened."""
        return list(self._object("POST", f"{self._place(dataset)}/split", json={"rows": [dict(row) for row in rows]})["events"])

    def forget(self, dataset: str, delivery: int | None = None) -> dict[str, Any]:
        """Delete a dataset or one delivery of it, with its jobs and their files. The key needs the scope `admin`."""
        place = self._place(dataset)
        return self._object("DELETE", place if delivery is None else f"{place}/deliveries/{delivery}")

    def _place(self, dataset: str) -> str:
        return f"/datasets/{self.tenant}/{quote(dataset, safe='')}"

    def usage(self) -> dict[str, Any]:
        """What the tenant uses, and may use."""
        return self._object("GET", f"/tenants/{self.tenant}/usage")

    def _pages(self, url: str, name: str, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        parameters = {k: v for k, v in filters.items() if v is not None}
        while True:
            page = self._object("GET", url, params=parameters)
            yield from page[name]
            if page["next"] is None:
                return
            parameters["cursor"] = page["next"]

    def _object(self, method: str, url: str, **how: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._asked(method, url, **how).json()
        return found

    def _asked(self, method: str, url: str, **how: Any) -> httpx.Response:
        """One request, made again where that can help: only what changes nothing, or carries an idempotency key."""
        import httpx

        body, content = how.get("content"), how
        repeatable = method in ("GET", "DELETE") or "Idempotency-Key" in how.get("headers", {})
        for last in _tries(self._tries if repeatable else 1):
            if callable(body):
                content = {**how, "content": body()}
            try:
                answer = self._http.request(method, url, **content)
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(error) from error
                continue
            if last or not (answer.status_code in _AGAIN or _in_flight(answer)):
                return _checked(answer)
            time.sleep(min(_LONGEST, _asked_to_wait(answer)))
        raise AssertionError


def _written(answer: httpx.Response, file: BinaryIO, told: Callable[[int], None] | None) -> None:
    """Put what comes at the end of a file, or in place of it."""
    if answer.status_code == 200:
        file.seek(0)
        file.truncate()
    for piece in answer.iter_bytes(_PIECE):
        file.write(piece)
        if told:
            told(file.tell())


def _opened(path: str | Path) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise InputNotFound(path=path) from error


def _tries(most: int) -> Iterator[bool]:
    """Whether a try is the last one; between two of them a pause that grows, and differs between clients."""
    for number in range(most):
        yield number == most - 1
        time.sleep(min(_LONGEST, 0.2 * 2**number) * random.uniform(0.5, 1))  # noqa: S311  no secret depends on it


def _in_flight(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and _told(answer).get("code") == "in-flight"


def _asked_to_wait(answer: httpx.Response) -> float:
    given = answer.headers.get("retry-after", "0")
    return float(given) if given.isdigit() else 0.0


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = json.loads(answer.read())
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success or answer.status_code in (304, 307):
        return answer
    told = _told(answer)
    faults = "; ".join(f"{fault.get('pointer')}: {fault.get('message')}" for fault in told.get("errors") or [])
    why = " ".join(part for part in (str(told.get("detail") or f"It answers {answer.status_code}."), faults) if part)
    raise ServiceRefused(reason=str(told.get("code") or answer.status_code), why=why, status=answer.status_code,
                         request_id=answer.headers.get("x-request-id", ""))  # fmt: skip


def _unreachable(error: Exception) -> ServiceRefused:
    return ServiceRefused(reason="unreachable", why=f"It does not answer ({type(error).__name__}).")
