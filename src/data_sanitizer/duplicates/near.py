"""Near-duplicates of a table: rows in, matches and clusters out. This is the story; the steps are in the modules beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates import calibration, clusters, decisions, model
from data_sanitizer.duplicates.candidates import is_small, write_keys
from data_sanitizer.duplicates.cells import add_content
from data_sanitizer.duplicates.chance import Chance, Frequencies, dependence, random_pairs, table
from data_sanitizer.duplicates.columns import Roles, by_content, roles
from data_sanitizer.duplicates.comparison import Bar, Comparison, WholeRows, all_pairs, measures, rarities
from data_sanitizer.duplicates.found import NearDuplicates
from data_sanitizer.duplicates.hopeful import Hopeful
from data_sanitizer.duplicates.knowledge import Knowledge
from data_sanitizer.duplicates.model import Figures, Model, Sample
from data_sanitizer.duplicates.moved import exchanged, raise_moved
from data_sanitizer.duplicates.neighbours import neighbours
from data_sanitizer.duplicates.pairs import PairFiles
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.survivor import survivors
from data_sanitizer.duplicates.templates import choose, sample

Rows = NDArray[np.int64]
Pairs = Iterator[tuple[Rows, Rows]]
_COUNTED: Final = 20_000  # rows, by content hash, in which terms and chances are counted
_LEARNED: Final = 60_000  # pairs from which the model learns
_PART: Final = 1 << 17  # pairs that are judged at a time
_KEPT: Final = 10_000_000  # pairs that are kept at most
_KEPT_A_ROW: Final = 60
_HEARD: Final = -8.0  # bits: a pair below it says nothing against a match of one of its rows
_OPEN: Final = 14.0  # bits: beyond it no second opinion changes the answer
_FEW_COLUMNS: Final = 5  # informative ones: with so few, templates alone find too little
_INFORMATIVE: Final = 4.0  # bits
_SEEN: Final = 8  # sure pairs with both cells, from which on it counts that a column never agrees
_SELDOM: Final = 0.05
_UNDECIDED: Final = {model.CLEAR: 0.25, model.NOISY: 0.2, model.TEXT: 0.0}  # of the duplicates: with more, they may be a mere crowd
_WORDS: Final = 3.0  # mean words of a long text
_CONTENT: Final = 1 << 20  # number of the key of all columns that are compared
_NO_PAIRS: Final = np.zeros((0, 2), np.int64)
_NO_MORE: Final = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows, what their columns are good for, and how they are compared."""

    records: Records
    roles: Roles
    comparison: Comparison
    moved: NDArray[np.int64]
    sample: Rows
    threads: int

    @property
    def used(self) -> Rows:
        return np.array(self.roles.used, np.int64)

    @property
    def exact(self) -> NDArray[np.int8]:
        return np.array([m.exact if m else 0 for m in self.comparison.measures], np.int8)

    def levels(self, a: Rows, b: Rows, bar: Bar | None = None) -> NDArray[np.int8]:
        """Levels of the columns that are compared, of shape (pairs, used columns); of pairs below the bar as far as they were read."""
        levels = self.comparison.levels(a, b, self.threads, bar)
        if len(self.moved):  # seen from the row with the lesser content, whatever its number
            turned = self.records.contents[a] > self.records.contents[b]
            raise_moved(self.records, np.where(turned, b, a), np.where(turned, a, b), self.moved, self.exact, levels)
        return np.ascontiguousarray(levels[:, self.used])

    def prints(self, rows: Rows) -> NDArray[np.uint64]:
        """Fingerprints of the columns that are compared."""
        return np.ascontiguousarray(self.records.prints_of(rows)[:, self.used])


@dataclass(frozen=True, slots=True)
class _Scored:
    """Candidates that matter: levels (pairs, used columns), log2 odds and posteriors. `a` and `b` are places in `rows`."""

    rows: Rows  # those that are in some pair, ascending
    contents: NDArray[np.uint64]
    a: Rows
    b: Rows
    levels: NDArray[np.int8]
    weights: NDArray[np.float64]
    duplicate: NDArray[np.float64]
    related: NDArray[np.float64]


def find(records: Records, folder: Path, threads: int = 1, apart: Rows = _NO_PAIRS,
         learned: Callable[[Knowledge], object] | None = None) -> NearDuplicates:  # fmt: skip
    """Find the near-duplicates among the rows, which should hold no exact duplicates. Files are written to `folder`.

    The pairs of rows `apart`, of shape (pairs, 2), are never in one cluster, nor what would tie them together. `learned` is told what was
    learned of the table, if its rows can be told apart.
    """
    table = _prepared(records, threads)
    first = _first_model(table)
    weakness = first.weakness(np.isin(table.used, table.roles.measures))
    if weakness and not len(_texts(table, first)):
        return _nothing(records, first.figures(identifiable=False, reason=weakness))
    hopeful = _hopeful(table, first, _candidates(table, first, folder), folder)
    known = _learned(table, first, hopeful)
    if weakness and known.kind != model.TEXT:
        return _nothing(records, known.figures(identifiable=False, reason=weakness))
    if learned is not None:
        learned(Knowledge(records.columns, records.kinds, table.roles, table.comparison.rarities, table.moved, known))
    return _judged(table, known, hopeful, apart)


def find_known(records: Records, folder: Path, known: Knowledge, pairs: NDArray[np.uint64], new: Rows, threads: int = 1,
               apart: Rows = _NO_PAIRS) -> NearDuplicates:  # fmt: skip
    """As `find`, for some `new` rows of a table of which all was learned before, in records of them and of others that are alike. `pairs`,
    as a << 32 | b with a < b, ascending and unique, are candidates beside those that the columns give.
    """
    records = replace(records, kinds=known.kinds)
    rows = by_content(records, sample(records.contents, _COUNTED))
    measured = tuple(m if c in known.roles.used else None for c, m in enumerate(measures(known.kinds)))
    table = _Table(records, known.roles, Comparison(records, measured, known.rarities), known.moved, rows, threads)
    first = known.first()
    hopeful = _hopeful(table, first, _candidates(table, first, folder, pairs), folder)
    return _judged(table, _shares(table, known.model, hopeful, new), hopeful, apart)


def _shares(table: _Table, known: Model, hopeful: Hopeful, new: Rows) -> Model:
    """How frequent duplicates are among the pairs of new rows, for one delivery is no guide to the next."""
    is_new = np.zeros(table.records.rows, np.bool_)
    is_new[new] = True
    found = [np.zeros((2, 0))]
    for a, b, levels in hopeful.parts():
        one = is_new[a] | is_new[b]
        found.append(np.stack(known.posteriors(levels[one], table.prints(a[one]))[:2]))
    duplicate, related = np.concatenate(found, axis=1)
    return known.with_shares(duplicate, related, len(new) * (known.rows - (len(new) + 1) / 2))


def _judged(table: _Table, known: Model, hopeful: Hopeful, apart: Rows) -> NearDuplicates:
    """The candidates that are matches by what is known, and their clusters."""
    scored = _scored(table, known, hopeful)
    weights, sure = _confident(table, known, scored)
    weights = _unsure(weights, _nothing_equal(known, scored.levels, table.exact[table.used]))
    weights = _unsure(weights, never_agreed(scored.levels, weights >= model.SURE, table.exact[table.used]))
    return _result(table, known, scored, weights, sure, apart)


def _prepared(records: Records, threads: int) -> _Table:
    found = roles(records)
    rows = by_content(records, sample(records.contents, _COUNTED))
    measured = tuple(m if c in found.used else None for c, m in enumerate(measures(records.kinds)))
    return _Table(
        records,
        found,
        Comparison(records, measured, rarities(records, measured, rows)),
        exchanged(records, found.used, rows),
        rows,
        threads,
    )


def _first_model(table_: _Table) -> Model:
    """What is known before any candidate is seen: how often values and levels agree by chance."""
    frequencies = Frequencies.counted(table_.records.print_blocks(), table_.records.rows, table_.roles.used)
    exact, equal = table_.exact[table_.used], frequencies.agreement()
    levels = table_.levels(*random_pairs(table_.sample))
    places = {column: k for k, column in enumerate(table_.roles.used)}
    parts = tuple((places[part], places[whole]) for part, whole in table_.roles.parts)
    unknown = np.zeros((len(exact), len(exact)))
    chance = Chance(table(levels, exact, equal), equal, exact, frequencies, unknown, parts)
    names = tuple(table_.records.columns[c] for c in table_.roles.used)
    return model.believed(chance, names, table_.records.rows)


def _candidates(table_: _Table, first: Model, folder: Path, more: NDArray[np.uint64] = _NO_MORE) -> Pairs:
    """All pairs of a small table; else pairs that templates find, and where columns are few, nearest long texts too, and `more`."""
    records, used = table_.records, table_.roles.used
    if is_small(records):
        return all_pairs(records.rows)
    files = PairFiles(folder, records.contents)
    write_keys(records, choose(records, used), files, table_.threads)
    if table_.roles.identifiers:
        for begin in range(0, records.rows, _PART):
            files.append(_CONTENT, _contents(records.prints[begin : begin + _PART], used))
            records.release()
    files.find()
    if (first.information >= _INFORMATIVE).sum() <= _FEW_COLUMNS:
        for column in _texts(table_, first):
            for pairs in neighbours(records, int(column)):
                files.add(pairs)
    if len(more):
        files.add(more)
    return files.merged()


def _texts(table_: _Table, first: Model) -> Rows:
    """The informative columns of long texts."""
    cells, words = table_.records.counts[table_.used, 0], table_.records.counts[table_.used, 1]
    return np.asarray(table_.used[(words >= _WORDS * cells) & (first.chance.exact > 4) & (first.information >= _INFORMATIVE)])


def _contents(prints: NDArray[np.uint64], columns: tuple[int, ...]) -> NDArray[np.uint64]:
    """A hash of all cells that are compared."""
    hashes = np.zeros(len(prints), np.uint64)
    for column in columns:
        add_content(hashes, np.ascontiguousarray(prints[:, column]), column)
    return hashes


def _hopeful(table_: _Table, first: Model, pairs: Pairs, folder: Path) -> Hopeful:
    """The candidates that may be duplicates, with their levels."""
    found = Hopeful(folder, len(table_.used), min(_KEPT, _KEPT_A_ROW * table_.records.rows))
    for a, b in _in_parts(pairs):
        levels = table_.levels(a, b, _bar(table_, first, found.bar))
        found.add(a, b, levels, first.first_weights(levels))
    return found


def _bar(table_: _Table, first: Model, least: float) -> Bar | None:
    """What a pair must weigh; none where cells may have moved, since those are looked at last."""
    if len(table_.moved):
        return None
    start, used = first.first_gains()
    gains = np.zeros((len(table_.records.columns), used.shape[1]), np.float32)
    gains[table_.used] = used
    best = np.array([gain[1 : max(exact, 2)].max() for gain, exact in zip(gains, table_.exact, strict=True)], np.float32)
    return Bar(start, gains, best, least - 0.01)  # sums of float32 may differ in their order


def _in_parts(pairs: Pairs) -> Pairs:
    for a, b in pairs:
        for begin in range(0, len(a), _PART):
            yield a[begin : begin + _PART], b[begin : begin + _PART]


def _learned(table_: _Table, first: Model, hopeful: Hopeful) -> Model:
    """Learn from pairs chosen by the content of their rows."""
    contents = table_.records.contents
    rows, mixed, levels = np.zeros(0, np.int64), np.zeros(0, np.uint64), np.zeros((0, len(table_.used)), np.int8)
    for a, b, found in hopeful.parts():
        rows, levels = np.concatenate([rows, a]), np.concatenate([levels, found])
        mixed = np.concatenate([mixed, _mixed(contents[a], contents[b])])
        if len(rows) > _LEARNED:
            chosen = np.sort(np.argpartition(mixed, _LEARNED)[:_LEARNED])
            rows, mixed, levels = rows[chosen], mixed[chosen], levels[chosen]
    prints = table_.prints(table_.sample)
    frequencies = first.chance.frequencies

    def depends(duplicates_a_row: float) -> NDArray[np.float64]:
        return dependence(prints, frequencies, max(10.0, 4 * (duplicates_a_row + 1)))

    return model.learned(first, Sample(levels, table_.prints(rows), len(hopeful) / max(len(rows), 1)), depends)


def _mixed(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = a ^ b
    mixed ^= mixed >> np.uint64(31)
    with np.errstate(over="ignore"):
        return np.asarray(mixed * np.uint64(0x9E3779B97F4A7C15) + (a & b))


def _scored(table_: _Table, known: Model, hopeful: Hopeful) -> _Scored:
    """The log2 odds of all hopeful pairs, and which of them matter: in clear tables, those near a pair that may be a match."""
    found, joined = [], np.zeros(table_.records.rows, np.bool_)
    for a, b, levels in hopeful.parts():
        duplicate, related, weights = known.posteriors(levels, table_.prints(a))
        found.append(np.stack([duplicate, related, weights]).astype(np.float32))
        for side in (a, b):
            joined[side[weights > 0]] = True
    kept = []
    for (a, b, levels), judged in zip(hopeful.parts(), found, strict=True):
        ends = joined[a].astype(np.int8) + joined[b]
        near = (ends == 2) | ((ends == 1) & (judged[2] > _HEARD)) | (judged[1] >= 0.5)
        matters = near if _alone(known) else np.ones(len(a), np.bool_)
        kept.append((a[matters], b[matters], levels[matters], judged[:, matters]))
    hopeful.close()
    a, b, levels = (np.concatenate([part[k] for part in kept]) for k in range(3))
    duplicate, related, weights = np.concatenate([part[3] for part in kept], axis=1).astype(np.float64)
    rows = np.unique(np.concatenate([a, b]))
    places = np.searchsorted(rows, a), np.searchsorted(rows, b)
    return _Scored(rows, table_.records.contents[rows], *places, levels, weights, duplicate, related)


def _confident(table_: _Table, known: Model, scored: _Scored) -> tuple[NDArray[np.float64], bool]:
    """Log2 odds that can be believed, and whether any may be sure enough to remove a row."""
    a, b, rows = scored.a, scored.b, len(scored.rows)
    weights = _unsure(scored.weights, known.contradicted(scored.levels))
    sure = known.ambiguity < _UNDECIDED[known.kind]
    if _alone(known):
        return _uncontested(scored, weights), sure
    columns = [c for c, kind in enumerate(table_.records.kinds) if kind != "empty" and c not in table_.roles.identifiers]
    whole = WholeRows.counted(table_.records, columns, table_.sample)
    stands = calibration.standing(rows, a, b, whole.similarity(scored.rows[a], scored.rows[b], table_.threads))
    if known.kind == model.TEXT:
        return calibration.text_weights(stands), sure
    weights = calibration.second_opinion(scored.weights, scored.duplicate, stands)
    contradicted = ((scored.levels == 1) & known.identifying()).any(axis=1) | known.contradicted(scored.levels)
    return _uncontested(scored, _unsure(weights, contradicted)), sure


def _alone(known: Model) -> bool:
    """Whether the model needs no second opinion."""
    return known.kind != model.TEXT and known.ambiguity < calibration.AMBIGUOUS


def _nothing_equal(known: Model, levels: NDArray[np.int8], exact: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which pairs are equal in none of the columns that identify: likeness alone is no proof, as among parts of one lake."""
    columns = known.identifying()
    return np.asarray(~(levels[:, columns] == exact[columns]).any(axis=1))


def never_agreed(levels: NDArray[np.int8], sure: NDArray[np.bool_], exact: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which pairs differ in a column in which hardly any sure pair has equal cells: what differs in all duplicates is no error but tells
    them apart, as the number of a measure does among measures of one hospital.
    """
    found = np.zeros(len(levels), np.bool_)
    filled, equal = (levels[sure] > 0).sum(axis=0), (levels[sure] == exact).sum(axis=0)
    for column in np.flatnonzero((filled >= _SEEN) & (equal < _SELDOM * filled)):
        found |= (levels[:, column] > 0) & (levels[:, column] < exact[column])
    return found


def _unsure(weights: NDArray[np.float64], contradicted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pairs that are contradicted are for review at best."""
    return np.where(contradicted, np.minimum(weights, calibration.UNSURE), weights)


def _uncontested(scored: _Scored, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where clusters are pairs as a rule, a pair with a rival is believed less; and pairs that clustering refuses are no matches."""
    rows, contents = len(scored.rows), scored.contents
    labels = clusters.guarded(rows, scored.a, scored.b, weights, contents, model.SURE)
    penalty = calibration.penalty(np.bincount(labels, minlength=rows))
    if penalty:
        weights = calibration.contested(rows, scored.a, scored.b, weights, penalty)
    labels = clusters.guarded(rows, scored.a, scored.b, weights, contents)
    return np.where(labels[scored.a] == labels[scored.b], weights, np.minimum(weights, -0.01))


def _result(table_: _Table, known: Model, scored: _Scored, weights: NDArray[np.float64], sure: bool,
            apart: Rows) -> NearDuplicates:  # fmt: skip
    rows, contents = scored.rows, scored.contents
    pairs = decisions.held(rows, scored.a, scored.b, weights, apart)
    weights = pairs[2][: len(weights)]
    against = -4.0 if known.kind == model.TEXT else clusters.NOT_COMPARED
    groups = clusters.guarded(len(rows), *pairs, contents, 0.0, against)
    members = _several(groups)
    keepers = np.arange(len(rows))
    if sure:
        sure_groups = clusters.guarded(len(rows), *pairs, contents, model.SURE, against)
        several = _several(sure_groups)
        keepers[several] = np.searchsorted(rows, survivors(rows[several], sure_groups[several], table_.records.prints_of(rows[several])))
    confidences = calibration.probability(weights)
    shown = np.flatnonzero((confidences >= 0.5) | (scored.related >= 0.5))
    levels, bits = _shown(table_, known, scored, shown)
    related = np.minimum(scored.related[shown], 1 - confidences[shown]).astype(np.float32)
    figures = known.figures(sure, "" if sure else _doubt(known))
    a, b = rows[scored.a[shown]], rows[scored.b[shown]]
    told = rows[members], rows[groups[members]], rows[keepers[members]]
    return NearDuplicates(a, b, confidences[shown], related, levels, bits, table_.records.rows, *told, figures)


def _several(groups: Rows) -> Rows:
    """The places that are not alone in their group."""
    return np.flatnonzero(np.bincount(groups, minlength=len(groups))[groups] > 1)


def _shown(table_: _Table, known: Model, scored: _Scored, shown: Rows) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Levels and bits in all columns, for the pairs that are reported."""
    width = len(table_.records.columns)
    levels, bits = np.zeros((len(shown), width), np.int8), np.zeros((len(shown), width), np.float32)
    for begin in range(0, len(shown), _PART):
        part = shown[begin : begin + _PART]
        levels[begin : begin + _PART, table_.used] = scored.levels[part]
        bits[begin : begin + _PART, table_.used] = known.bits(scored.levels[part], table_.prints(scored.rows[scored.a[part]]))
    return levels, bits


def _doubt(known: Model) -> str:
    if known.kind == model.TEXT:
        return "what identifies a row is in long texts that are alike to any degree: matches are proposed, nothing is removed"
    return f"duplicates differ so much that {known.ambiguity:.0%} of them are undecided: matches are proposed, nothing is removed"


def _nothing(records: Records, figures: Figures) -> NearDuplicates:
    none, pairs, width = np.zeros(0, np.int64), np.zeros(0, np.float32), len(records.columns)
    levels, bits = np.zeros((0, width), np.int8), np.zeros((0, width), np.float32)
    return NearDuplicates(none, none, pairs, pairs, levels, bits, records.rows, none, none, none, replace(figures, kind=""))
