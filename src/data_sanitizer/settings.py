"""The environment of the process: the only module that reads it, or writes to it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from data_sanitizer.errors import SettingUnusable, UsageError

S = TypeVar("S")
_SECRET: Final = ("DATABASE_URL", "BROKER_URL", "MILVUS_URI", "MILVUS_TOKEN", "AUDIT_KEY_FILE")  # no process that reads files needs them

if TYPE_CHECKING:
    from data_sanitizer.model import ReadLimits
    from data_sanitizer.stores import Stores

# For the allocator of Polars, which reads it when it is loaded: give memory back soon. Saves 60 MB at a million rows and costs no time.
_ALLOCATOR = ("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:100,muzzy_decay_ms:0")
_SHORTEST_KEY: Final = 16  # characters
_VARIED: Final = 8  # different characters that a secret has at least
_KNOWN: Final = {b"changemechangeme", b"change-me-change-me", b"supersecretpepper", b"passwordpassword", b"default-secret-key"}
PREFIX: Final = "DATA_SANITIZER_"  # of every variable: DATA_SANITIZER_POOL_MAX for `pool_max`

_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def spare_memory() -> None:
    """Make this process and its children keep less memory than they once needed; to be called before Polars is imported."""
    os.environ.setdefault(*_ALLOCATOR)


def stores() -> Stores:
    """All stores, with what the environment says of each; raises UsageError for a value that is none."""
    from data_sanitizer import extensions
    from data_sanitizer.stores import Stores

    return Stores({name: _read(extensions.load("stores", name).Settings) for name in extensions.names("stores")})


def _read(kind: Any) -> Any:
    """An instance of a settings class; each field is taken from the first of its variables that is set and not empty."""
    told = {}
    for setting in fields(kind):
        for name in setting.metadata.get("variables", ()):
            if text := os.environ.get(name):
                told[setting.name] = _value(name, text, type(setting.default))
                break
    return kind(**told)


def _value(variable: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in _YES | _NO:
            raise UsageError(why=f"{variable} is one of: {', '.join(sorted(_YES | _NO))}.")
        return text.lower() in _YES
    if kind not in (int, float):
        return text
    try:
        number = kind(text)
    except ValueError as error:
        raise UsageError(why=f"{variable} is a number.") from error
    if not 0 < number < 1e9:
        raise UsageError(why=f"{variable} is a number above 0.")
    return number


_LIMIT = "DATA_SANITIZER_LIMIT_"


def read_limits(given: Iterable[str] = ()) -> ReadLimits:
    """The limits of reading: those given as NAME=N, else DATA_SANITIZER_LIMIT_NAME, else the defaults. Raises UsageError."""
    from data_sanitizer.model import ReadLimits

    names = [f.name for f in fields(ReadLimits)]
    pairs = [(n, os.environ[_LIMIT + n.upper()]) for n in names if _LIMIT + n.upper() in os.environ]
    pairs += [(name.strip(), number) for name, _, number in (text.partition("=") for text in given)]
    for name, number in pairs:
        if name not in names:
            raise UsageError(why=f"There is no limit {name}. Known limits: {', '.join(names)}.")
        if not number.strip().isdecimal():
            raise UsageError(why=f"The limit {name} is no whole number. Write it as {name}=1000.")
    return ReadLimits(**{name: int(number) for name, number in pairs})


def _setting(default: object, doc: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where the service keeps what it knows. Times are in seconds."""

    database_url: str = _setting(
        "sqlite:///data-sanitizer.db", "`sqlite:///FILE` or `postgresql://user:password@host:port/database`.", secret=True
    )
    pool_max: int = _setting(10, "Connections to Postgres that one process holds at most.")
    pool_timeout: float = _setting(5.0, "How long to wait for a free connection.")
    connect_timeout: int = _setting(5, "How long making a connection may take.")
    statement_timeout: float = _setting(300.0, "How long one statement may take.")
    idle_timeout: float = _setting(60.0, "How long a transaction may do nothing.")
    keepalives_idle: int = _setting(5, "Silence after which a connection is probed.")
    keepalives_interval: int = _setting(2, "Time between two probes.")
    keepalives_count: int = _setting(3, "Probes without an answer after which the connection counts as lost.")
    tcp_user_timeout: float = _setting(10.0, "How long data may stay unconfirmed until the connection counts as lost.")
    busy_timeout: float = _setting(30.0, "SQLite: how long to wait for another process that writes.")
    retry_for: float = _setting(10.0, "How long a call that lost its connection is tried again.")
    audit_key_file: str = _setting("", "A file with the key that signs the audit log. Without it entries are chained, and not signed.")
    milvus_uri: str = _setting("", "`http://host:19530`. Without it similar rows are found by an index in the process.", secret=True)
    milvus_token: str = _setting("", "User and password, or key, for Milvus.", secret=True)
    milvus_timeout: float = _setting(10.0, "How long a call to Milvus may take.")

    @classmethod
    def from_environment(cls, **given: Any) -> StorageSettings:
        """What the environment says, except where a value is given; raises SettingUnusable for a value of the wrong kind."""
        return _from_environment(cls, given)

    def audit_key(self) -> bytes | None:
        """The key that signs the audit log; raises SettingUnusable where it cannot be read or is too short."""
        if not self.audit_key_file:
            return None
        return _secret("audit_key_file", self.audit_key_file)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the service runs jobs. Times are in seconds."""

    object_store: str = _setting(
        "data-sanitizer-objects", "Where uploads and results lie: a folder, `s3://bucket/prefix` or `gs://bucket/prefix`."
    )
    broker_url: str = _setting(
        "", "`amqp://…` (RabbitMQ) or `redis://…` wakes workers through Celery. Without it they look by themselves.", secret=True
    )
    lease_seconds: float = _setting(30.0, "How long a job belongs to a worker of which nothing is heard.")
    poll_seconds: float = _setting(1.0, "How often an idle worker looks for a job that nobody told it of.")
    tenant_jobs: int = _setting(4, "Jobs of one tenant that run at the same time at most.")
    job_seconds: float = _setting(86_400.0, "How long one attempt at a job may take.")
    checkpoint_seconds: float = _setting(5.0, "What took a job this long is kept, and not done again after a crash.")
    drain_seconds: float = _setting(10.0, "How long a worker that is told to stop goes on with the chunk at hand.")
    reconcile_seconds: float = _setting(600.0, "How often a worker looks for objects that no job needs any more.")
    keep_orphans_seconds: float = _setting(86_400.0, "How old an upload without a job has to be until it is removed.")
    job_memory: int = _setting(1 << 30, "Bytes of memory that a job is reckoned with, as `--memory-limit` of the command.")
    job_threads: int = _setting(0, "Threads that a job uses; 0 means one a core.")
    work_folder: str = _setting("", "Where jobs keep what they work on; the system's folder for temporary files, where not set.")

    @classmethod
    def from_environment(cls, **given: Any) -> ServiceSettings:
        """What the environment says, except where a value is given; raises SettingUnusable for a value of the wrong kind."""
        return _from_environment(cls, given)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What the API lets in. Sizes are in bytes, times in seconds."""

    pepper_file: str = _setting("", "A file with the secret that API keys are hashed with. The API does not start without it.")
    upload_bytes: int = _setting(5 << 30, "The largest upload.")
    upload_idle: float = _setting(30.0, "How long an upload may stand still, and the time after which `upload_rate` is asked for.")
    upload_rate: int = _setting(1024, "Bytes a second that an upload has to bring on the average.")
    large_bytes: int = _setting(50 << 20, "From this size on a job waits in the lane of the large ones.")
    key_requests: int = _setting(600, "Requests a minute with one key.")
    address_refusals: int = _setting(20, "Refused keys a minute from one address, until it has to wait.")
    rate_store: str = _setting(
        "database", "Where requests are counted: `database`, `redis://…`, or `memory` for a single process.", secret=True
    )
    trusted_proxies: int = _setting(0, "Proxies in front of the API whose `X-Forwarded-For` is believed; 0 means none.")
    tenant_open_jobs: int = _setting(1000, "Jobs of one tenant that may be waiting or running.")
    tenant_bytes: int = _setting(1 << 40, "Bytes of input that a tenant may keep.")
    sources: str = _setting(
        "", "Places that `source_url` may name, divided by blanks, as `s3://bucket/in/{tenant}/`. Without any, uploads alone are taken."
    )
    webhooks: bool = _setting(False, "Whether tenants may name addresses that are told when a job ends.")
    webhook_hosts: str = _setting("", "Hosts that webhooks may name, divided by blanks; without any, every public one.")
    redirect_downloads: int = _setting(
        0,
        "Seconds for which a download is redirected to an address of the object store that is signed for them. 0: the API gives it itself.",
    )
    docs: bool = _setting(True, "Whether `/api/docs` and `/api/openapi.json` are there.")
    cache_folder: str = _setting("", "Where files of runs in an object store are kept to be looked at; a temporary folder, where not set.")
    cache_bytes: int = _setting(10 << 30, "How much is kept there.")
    tls_certificate: str = _setting("", "A file with the certificate chain: `serve` speaks TLS.")
    tls_key: str = _setting("", "A file with the key of the certificate.")

    @classmethod
    def from_environment(cls, **given: Any) -> ApiSettings:
        """What the environment says, except where a value is given; raises SettingUnusable for a value of the wrong kind."""
        return _from_environment(cls, given)

    def pepper(self) -> bytes:
        """The secret that API keys are hashed with; raises SettingUnusable where it is missing, too short or one that everybody knows."""
        if not self.pepper_file:
            raise SettingUnusable(name=variable("pepper_file"), why="it is not set, and API keys cannot be checked without it")
        pepper = _secret("pepper_file", self.pepper_file)
        if len(set(pepper)) < _VARIED or pepper.lower() in _KNOWN:
            raise SettingUnusable(name=variable("pepper_file"), why="the secret is a default or a pattern; make one by chance")
        return pepper


def remote(url: str | None, key_file: Path | None) -> tuple[str, str]:
    """The address of a service and the key for it: as given, else from DATA_SANITIZER_URL, DATA_SANITIZER_API_KEY_FILE and
    DATA_SANITIZER_API_KEY. Raises UsageError where no key is to be had."""
    named = key_file or os.environ.get(variable("api_key_file"))
    try:
        key = Path(named).read_text("utf-8").strip() if named else os.environ.get(variable("api_key"), "")
    except OSError as error:
        raise UsageError(why=f"The key cannot be read from {named}: {error.strerror}.") from error
    if not key:
        raise UsageError(why=f"No key. Name a file that holds one with --key-file, or set {variable('api_key_file')}.")
    return url or os.environ.get(variable("url"), "http://127.0.0.1:8000"), key


def embedded(folder: Path, *, alone: bool) -> None:
    """Set what is not set so that the service lives in a folder; to be called before the settings are read. `alone`: one process of the
    API, which can count requests by itself. Secrets are made by chance, once."""
    for name, value in (
        ("database_url", f"sqlite:///{folder / 'service.db'}"), ("object_store", str(folder / "objects")),
        ("work_folder", str(folder / "work")),
        ("cache_folder", str(folder / "cache")), ("rate_store", "memory" if alone else "database"),
        ("pepper_file", str(_chance(folder / "pepper"))), ("audit_key_file", str(_chance(folder / "audit.key"))),
    ):  # fmt: skip
        os.environ.setdefault(variable(name), value)


def _chance(path: Path) -> Path:
    """A file with a secret that nobody else may read, made where it is not there."""
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
    return path


def _secret(name: str, path: str) -> bytes:
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingUnusable(name=variable(name), why=error.strerror or "the file cannot be read") from error
    if len(key) < _SHORTEST_KEY:
        raise SettingUnusable(name=variable(name), why=f"the key has fewer than {_SHORTEST_KEY} characters")
    return key


def _from_environment(kind: type[S], given: Mapping[str, Any]) -> S:
    known: Any = fields(kind)  # type: ignore[arg-type]
    told = {f.name: os.environ[name] for f in known if (name := variable(f.name)) in os.environ}
    kinds = {f.name: type(f.default) for f in known}
    return kind(**{name: _converted(name, value, kinds[name]) for name, value in told.items()} | {k: v for k, v in given.items() if v})


def without_secrets() -> dict[str, str]:
    """The environment for a process that works on a job: it has the object store, and neither database nor broker."""
    return {name: value for name, value in os.environ.items() if name not in {PREFIX + secret for secret in _SECRET}}


def fault() -> str:
    """The failure that a test asks for (see `faults`); empty as a rule."""
    return os.environ.get(PREFIX + "FAULT", "")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _converted(name: str, value: str, kind: type) -> Any:
    if kind is bool:
        return _value(variable(name), value, bool)
    try:
        return kind(value)
    except ValueError as error:
        raise SettingUnusable(name=variable(name), why=f"it is no {'whole number' if kind is int else 'number'}") from error
