"""Every error a user can meet, as one tree.

    DataSanitizerError
    ├── GateFailed                 exit 1   a check was asked for and did not pass
    │   └── VerificationFailed, ChangesFound, ContractBroken, AuditBroken
    ├── UsageError                 exit 2   the call or a recipe is wrong
    │   ├── RecipeError
    │   │   └── MaskKeyUnusable
    │   ├── OutputExists, RunUnreadable, NotInRun, NotStored, NotEmpty, BackupUnreadable, IdempotencyKeyReused
    │   └── StorageUnknown, DatasetRulesDiffer, NotInDataset, PackageMissing, TruthUnusable
    ├── SettingUnusable            exit 78  a setting of the service is wrong: starting it again does not help
    ├── InputError                 exit 3   the input cannot be read, or is refused
    │   ├── InputNotFound, NothingMatches, InputIsDirectory, InputUnreadable, EmptyInput, UnsupportedContent, ArchiveRejected
    │   ├── LimitExceeded          larger, deeper or wider than is safe
    │   │   ├── DecompressionLimit, SheetTooSparse, SheetTooLarge, TooManyColumns, ColumnNameTooLong
    │   │   └── FieldTooLarge, RowTooLarge, JsonDepth, ParquetLimit, ReaderLimit
    │   ├── ReaderCrashed
    │   ├── MalformedInput
    │   │   └── MalformedSpreadsheet, MalformedParquet, MalformedArrow
    │   └── TruncatedInput, SheetNotFound, InputChanged
    ├── ReaderFailed               exit 5   a bug of ours
    └── EnvironmentFailed          exit 4   something outside the program: storage, network, rights
        ├── DiskFull, OutputNotWritable, StoreRefused, StoreUnavailable
        ├── DatabaseUnreachable, DatabaseBusy, DatabaseFull, DatabaseRefused, DatasetBusy, SchemaOutdated
        └── LeaseLost, JobTimedOut, WorkerCrashed, WorkStopped, VectorsUnavailable, ServiceRefused, PartUnfit

The docstring of a class is its message; the names in braces are the facts that the caller gives. A message says what, where,
why and what to do, and never quotes the content of a cell.
"""

from __future__ import annotations

from typing import ClassVar


class DataSanitizerError(Exception):
    """Something went wrong: {why}."""

    exit_code: ClassVar[int] = 5

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(" ".join((type(self).__doc__ or "").split()).format(**facts))

    @property
    def code(self) -> str:
        """The name of the error in kebab case, as the command's JSON and the service give it."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.facts))


def _rebuild(kind: type[DataSanitizerError], facts: dict[str, object]) -> DataSanitizerError:
    return kind(**facts)


class GateFailed(DataSanitizerError):
    """A check did not pass: {why}."""

    exit_code = 1


class VerificationFailed(GateFailed):
    """{run} does not agree with its input: {why}. The run or the input was changed after cleaning; clean again, and compare the sha256
    in manifest.json.
    """


class ChangesFound(GateFailed):
    """--check: {count} changes would be made. Run without --check to make them, or with --dry-run to see a summary."""


class ContractBroken(GateFailed):
    """Against {before}, what must not change did: {what}. Nothing was published. Where all of this is as it should be, accept it with
    --accept-changes; where such changes are usual, say `evolve` for the column in the contract of the recipe.
    """


class AuditBroken(GateFailed):
    """The audit log of tenant {tenant} was tampered with: entry {entry} was {what}. Entries before it are intact; compare from there on
    with a backup, and find out who may write to the database.
    """


class UsageError(DataSanitizerError):
    """{why}"""

    exit_code = 2


class RecipeError(UsageError):
    """Recipe {recipe}: {why}. Known {kind}: {known}."""


class MaskKeyUnusable(RecipeError):
    """The key for hashing personal data cannot be taken from {path}: {why}. Put at least 16 random characters into a
    file, for example with `openssl rand -hex 32`, name it as key_file, and keep it: the same key gives the same tokens."""


class OutputExists(UsageError):
    """{path} exists already. Choose another folder with -o, or replace it with --force."""


class RunUnreadable(UsageError):
    """{path} is not a finished run: {why}. Give the folder that `data-sanitizer clean -o` wrote; a run without manifest.json did not
    finish.
    """


class TruthUnusable(UsageError):
    """{path} cannot be used as truth: {why}. Give a CSV or Parquet file with the columns row and entity, or row_a and row_b; rows count
    from 0, and a column source names their input where there are several.
    """


class NotInRun(UsageError):
    """{what} is not in run {run}. {cure}"""


class NotStored(UsageError):
    """{what} is not stored for tenant {tenant}. Check the name and the tenant."""


class NotEmpty(UsageError):
    """{place} is not empty, and a backup is restored into an empty place only. Name another one; nothing was changed."""


class BackupUnreadable(UsageError):
    """{path} is no backup that can be restored: {why}. Give the folder that `data-sanitizer backup` wrote, complete and unchanged."""


class IdempotencyKeyReused(UsageError):
    """The idempotency key {key} belongs to another request. Use a new key for a new request, and the same key only to repeat one."""


class StorageUnknown(UsageError):
    """{url} names no storage that is known. Write {known}."""


class DatasetRulesDiffer(UsageError):
    """The recipe says of duplicates {given}, but the rows of dataset {dataset} are compared by {known}. Rows of one dataset are always
    compared in one way: use that recipe, or deliver to another dataset.
    """


class NotInDataset(UsageError):
    """{what} is not in dataset {dataset}. {cure}"""


class PackageMissing(UsageError):
    """{package} is needed for {what} and is not installed. Install it with `pip install 'data-sanitizer[service]'`."""


class SettingUnusable(DataSanitizerError):
    """{name} cannot be used: {why}. Set it right, or leave it out; docs/settings.md lists all settings."""

    exit_code = 78  # EX_CONFIG of sysexits.h, which supervisors know


class InputError(DataSanitizerError):
    """{path} cannot be read: {why}."""

    exit_code = 3


class InputNotFound(InputError):
    """{path} does not exist. Check the spelling and the folder you are in."""


class NothingMatches(InputError):
    """No file matches {path}. Check the spelling; the * of a pattern stops at /, ** does not, and names that begin with . or _ are
    passed over.
    """


class InputIsDirectory(InputError):
    """{path} is a folder. Give the files in it, for example {path}/*.csv."""


class InputUnreadable(InputError):
    """{path} cannot be opened: {why}. Check that you may read it."""


class EmptyInput(InputError):
    """{path} is empty (0 bytes of table). Check that it was exported or copied completely."""


class UnsupportedContent(InputError):
    """{path} is not a table we read: its content looks like {found}. We read CSV, TSV, JSON, JSONL, Parquet, Arrow IPC and Excel, also
    compressed with gzip, zstd, bzip2 or xz, or alone in a ZIP archive.
    """


class ArchiveRejected(InputError):
    """{path} is a ZIP archive that we do not open: {why}. Unpack it yourself, and give the table in it."""


class LimitExceeded(InputError):
    """{path} goes beyond a limit: {found}, and {limit} is {most}. Where you trust the file, set a larger one with --limit {limit}=N."""


class DecompressionLimit(LimitExceeded):
    """{path} unpacks to far more than it should: {found}, and the limit {limit} is {most}. Where you trust the file, set a larger one
    with --limit {limit}=N, or unpack it yourself.
    """


class SheetTooSparse(LimitExceeded):
    """{path} has a sheet whose cells lie too far apart: {found}, and the limit {limit} is {most}. Delete the cells far from the table, or
    set a larger limit with --limit {limit}=N.
    """


class SheetTooLarge(LimitExceeded):
    """{path} has a sheet that is too large: {found}, and the limit {limit} is {most}. Save it as CSV, or set a larger limit with
    --limit {limit}=N.
    """


class TooManyColumns(LimitExceeded):
    """{path} has too many columns: {found}, and the limit {limit} is {most}. If the delimiter was misread, name it; where the table is so
    wide, set a larger limit with --limit {limit}=N.
    """


class ColumnNameTooLong(LimitExceeded):
    """{path} has a column name that is too long: {found}, and the limit {limit} is {most}. If its first row is data, use --no-header;
    otherwise shorten the name or set a larger limit with --limit {limit}=N.
    """


class FieldTooLarge(LimitExceeded):
    """{path} has a field that is too large: {found}, and the limit {limit} is {most}. Look for a quote that is never closed, or set a
    larger limit with --limit {limit}=N.
    """


class RowTooLarge(LimitExceeded):
    """{path} has a row that is too large: {found}, and the limit {limit} is {most}. Look for missing line ends or a quote that is never
    closed, or set a larger limit with --limit {limit}=N.
    """


class JsonDepth(LimitExceeded):
    """{path} is nested too deep: {found}, and the limit {limit} is {most}. Flatten it, or set a larger limit with --limit {limit}=N."""


class ParquetLimit(LimitExceeded):
    """{path} is a Parquet file beyond what we read: {found}, and the limit {limit} is {most}. Write it anew with fewer, larger row groups
    and flatter columns, or set a larger limit with --limit {limit}=N.
    """


class ReaderLimit(LimitExceeded):
    """{path} takes too much to read: {found}, and that is {most}. Where you trust the file, set a larger one with --limit {limit}=N."""


class ReaderCrashed(InputError):
    """{path} cannot be read: {why}. Nothing else was harmed. Check that it was copied completely, or export it again in another format."""


class MalformedInput(InputError):
    """{path} is not valid {format}: {why}. Export it again, or name the right format if the guess is wrong."""


class MalformedSpreadsheet(MalformedInput):
    """{path} is not a valid {format}: {why}. Open it in a spreadsheet program and save it again."""


class MalformedParquet(MalformedInput):
    """{path} is not valid {format}: {why}. Write it anew, or copy it again."""


class MalformedArrow(MalformedInput):
    """{path} is not valid {format}: {why}. Write it anew, or copy it again."""


class TruncatedInput(InputError):
    """{path} ends too early: the {format} data is cut off after {size} bytes. Copy or download it again."""


class SheetNotFound(InputError):
    """{path} has no sheet {sheet}. Its sheets are: {sheets}."""


class InputChanged(InputError):
    """{path} changed while it was being read. Wait until it is complete, then run again."""


class ReaderFailed(DataSanitizerError):
    """The reader of {path} met a bug in Data Sanitizer ({kind} at {place}). Please report it; the file itself need not be sent."""


class EnvironmentFailed(DataSanitizerError):
    """{path}: {why}."""

    exit_code = 4


class DiskFull(EnvironmentFailed):
    """No space left for {path}. Free some space or choose another folder with -o; nothing was written under the final name."""


class OutputNotWritable(EnvironmentFailed):
    """{path} cannot be written: {why}. Check that the folder exists and that you may write to it."""


class StoreRefused(EnvironmentFailed):
    """{path}: the store refuses ({why}). Check the credentials in the environment, and the rights that docs/object-stores.md lists."""


class StoreUnavailable(EnvironmentFailed):
    """{path}: the store does not answer as it should ({why}), though asked {tries} times. Try again later; nothing incomplete was left
    under the final name."""


class DatabaseUnreachable(EnvironmentFailed):
    """The database cannot be reached: {why}. Check that it runs and that its address is right; what was begun is not stored, and doing
    it again is safe.
    """


class DatabaseBusy(EnvironmentFailed):
    """The database did not answer in time: {why}. Try again, or raise the size of the pool and the time limits."""


class DatabaseFull(EnvironmentFailed):
    """The database has no space left. Free some on its disk; what was begun is not stored, and doing it again is safe."""


class DatabaseRefused(EnvironmentFailed):
    """The database refused: {why}. Check the rights of its user, and `data-sanitizer doctor`."""


class DatasetBusy(EnvironmentFailed):
    """Dataset {dataset} got another delivery or decision while this one was being cleaned. Nothing of this one was kept; run it again."""


class SchemaOutdated(EnvironmentFailed):
    """The database has schema {found}, and this version works with {needed}. Run `data-sanitizer migrate` with this version."""


class LeaseLost(EnvironmentFailed):
    """Job {job} is no longer held by this worker: its lease ended, or another took over. Drop the work; whoever holds it goes on."""


class JobTimedOut(EnvironmentFailed):
    """The job took longer than {seconds} seconds. Split the table, or have the limit DATA_SANITIZER_JOB_SECONDS raised."""


class WorkerCrashed(EnvironmentFailed):
    """The job crashed {count} times in a row, the last time because {why}. It needs more memory than there is, or its data meets a bug:
    try it with the command `data-sanitizer clean`, and report it where that crashes too.
    """


class WorkStopped(EnvironmentFailed):
    """The worker was told to stop. The job goes on with another one, where this one ended; nothing is to be done."""


class VectorsUnavailable(EnvironmentFailed):
    """The vector index does not answer: {why}. Similar rows are found in this process instead; when it is back, rebuild it with
    `data-sanitizer doctor --rebuild-vectors`.
    """


class PartUnfit(EnvironmentFailed):
    """{why}. {cure}."""


class ServiceRefused(EnvironmentFailed):
    """The service refuses ({reason}): {why} What each reason means, and what helps, stands in docs/api.md."""

    @property
    def reason(self) -> str:
        """The code of the refusal, as `rate-limited`; the service puts it into its answer."""
        return str(self.facts["reason"])
