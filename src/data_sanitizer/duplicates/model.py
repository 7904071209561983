"""Which pairs of rows are one entity: the model of Fellegi and Sunter (1969) with three classes, learned without labels.

A pair is random, related (a household, two products of one family) or a duplicate. What random pairs look like is known (`chance`);
what duplicates look like is learned by expectation maximisation from a firm belief: most of their cells agree. Related pairs are free,
so that they do not pull duplicates towards them. Three kinds of table are told apart by what the related pairs turn out to be:

- `clear`: they differ in what identifies. They are another class.
- `noisy`: they agree in what identifies. They are duplicates with many errors, and are learned as such.
- `text`: they are a little alike in everything, without a gap to the duplicates, as products are in a catalogue.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates import beliefs
from data_sanitizer.duplicates.chance import Chance, Floats, Levels

CLEAR, NOISY, TEXT = "clear", "noisy", "text"
_ROUNDS: Final = 3  # patterns are made anew in each, because dependence may have become known
_STEPS: Final = 15
_RESTARTS: Final = 3
_LEAST: Final = 1e-3
_APART: Final = 0.25  # of related pairs agree in a column: too few for duplicates
_NUMBERED: Final = 2.0  # rows that share a cell by chance, at most, in a column that numbers the rows
_TELLING: Final = 4.0  # bits: less says nothing about identity
_SHARES: Final = 1 << 20  # of a pair, in which it is counted
SURE: Final = 6.63  # bits, a posterior of 0.99
_Masked = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ColumnFigures:
    """What was learned of a column: probabilities of levels 1 (differ) to the last (equal) in each class, and its information."""

    name: str
    duplicates: tuple[float, ...]
    related: tuple[float, ...]
    random: tuple[float, ...]
    bits: float  # information of an equal cell, times the share of rows that have one


@dataclass(frozen=True, slots=True)
class Figures:
    """What was learned of a table, for the report."""

    kind: str  # clear, noisy or text
    duplicates: float  # pairs per row that are expected
    related: float
    ambiguity: float  # share of duplicates for which the model cannot decide
    identifiable: bool
    reason: str  # why not, else empty
    columns: tuple[ColumnFigures, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sample:
    """Candidate pairs to learn from: levels and fingerprints of the first row, both (pairs, columns); `scale` candidates stand for each."""

    levels: Levels
    prints: NDArray[np.uint64]
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """Probabilities of levels in duplicates and related pairs, both (columns, K), and how frequent the classes are among all pairs."""

    chance: Chance
    names: tuple[str, ...]
    rows: int
    duplicates: Floats
    related: Floats
    duplicate_share: float
    related_share: float
    kind: str = CLEAR
    ambiguity: float = 0.0
    distinguishing: tuple[int, ...] = ()  # columns in which rows differ that are alike in all others: no mere error

    def posteriors(self, levels: Levels, prints: NDArray[np.uint64]) -> tuple[Floats, Floats, Floats]:
        """Probability of duplicate and of related, and log2 of the odds of duplicate, each of shape (pairs,)."""
        used, chance = self.chance.logs(levels, prints)
        masked = np.where(used, levels, 0).astype(np.int64)
        return _odds(_likelihoods(self, masked, np.where(used, chance, 0).sum(axis=1)))

    def bits(self, levels: Levels, prints: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Weight of evidence of each column for duplicate against random, in bits, of shape (pairs, columns)."""
        used, chance = self.chance.logs(levels, prints)
        logs = _logs(self.duplicates)
        own = np.take_along_axis(logs, levels.T.astype(np.int64), axis=1).T
        return np.where(used, own - chance, 0).astype(np.float32)

    def first_weights(self, levels: Levels) -> NDArray[np.float32]:
        """A quick upper estimate of the log2 odds before anything is learned, of shape (pairs,): to leave hopeless pairs out."""
        start, gains = self.first_gains()
        weights = np.full(len(levels), start, np.float32)
        for column, gain in enumerate(gains):
            weights += gain[levels[:, column]]
        return weights

    def first_gains(self) -> tuple[float, NDArray[np.float32]]:
        """The log2 odds of any pair, and what each column and level adds to them, of shape (columns, K)."""
        gains = _logs(self.duplicates) - np.log2(np.maximum(self.chance.table, 1e-9))
        gains[:, 0] = 0
        return float(np.log2(0.6 / max(self.rows, 2))), gains.astype(np.float32)

    @property
    def information(self) -> Floats:
        """Bits that equal cells of a column are worth, times the share of rows that have one, of shape (columns,)."""
        filled = self.chance.frequencies.cells / max(self.rows, 1)
        return np.asarray(-np.log2(self.chance.equal) * filled)

    def identifying(self) -> NDArray[np.bool_]:
        """The columns worth at least half of the best one."""
        return np.asarray(self.information >= 0.5 * self.information.max(initial=0))

    def against(self) -> NDArray[np.bool_]:
        """Levels, (columns, K), that speak against a duplicate: likelier in random pairs by 2 bits or more."""
        table = self.chance.table
        against = np.asarray((beliefs.tables(self.chance, beliefs.of_duplicates) < table / 4) & (table > 0))
        against[np.arange(len(table)), self.chance.exact] = False
        return against

    def contradicted(self, levels: Levels) -> NDArray[np.bool_]:
        """Whether a pair differs in a distinguishing column, of shape (pairs,)."""
        against = self.against()
        found = np.zeros(len(levels), np.bool_)
        for column in self.distinguishing:
            found |= against[column, levels[:, column]]
        return found

    def expected(self, share: float) -> float:
        """Pairs per row for a share of all pairs."""
        return share * (self.rows - 1) / 2

    def with_shares(self, duplicates: Floats, related: Floats, pairs: float) -> Model:
        """The same with the shares that duplicates and related pairs have among some `pairs`, from the posteriors of those that matter."""
        random = np.maximum(1 - duplicates - related, 0)
        known = shares = np.array([self.duplicate_share, self.related_share])
        for _ in range(_STEPS):
            odds = np.stack([duplicates, related]) * (shares / known)[:, None]
            mass = (odds / np.maximum(odds.sum(axis=0) + random, 1e-300)).sum(axis=1)
            shares = np.maximum(mass, (1.0, 0.3)) / max(pairs, 1.0)
        return replace(self, duplicate_share=float(shares[0]), related_share=float(shares[1]))

    def weakness(self, measures: NDArray[np.bool_]) -> str:
        """Why rows cannot be told apart by these columns, of which some are plain numbers; empty if they can.

        Needed: without the best column, which may be the damaged one, the others still outweigh how rare duplicates are; and what is no
        plain number would do to tell rows apart, for rows that measure alike are not one entity.
        """
        entropy = self.chance.frequencies.entropy() * self.chance.frequencies.cells / max(self.rows, 1)
        spare, naming = entropy.sum() - entropy.max(initial=0), entropy[~measures].sum()
        every = float(np.log2(max(self.rows, 2)))
        if spare < every + SURE:
            return f"too few informative columns: without the best one {spare:.0f} bits, needed for {self.rows} rows: {every + SURE:.0f}"
        if naming < every:
            return f"plain numbers tell rows apart: names, dates and codes hold {naming:.0f} of the {every:.0f} bits for {self.rows} rows"
        return ""

    def figures(self, identifiable: bool, reason: str) -> Figures:
        """What the report says."""
        columns = tuple(self._column(k) for k in range(len(self.names)))
        duplicates, related = self.expected(self.duplicate_share), self.expected(self.related_share)
        return Figures(self.kind, round(duplicates, 4), round(related, 4), round(self.ambiguity, 4), identifiable, reason, columns)

    def _column(self, k: int) -> ColumnFigures:
        tables = (self.duplicates, self.related, self.chance.table)
        levels = [tuple(round(float(x), 6) for x in t[k, 1 : self.chance.exact[k] + 1]) for t in tables]
        return ColumnFigures(self.names[k], levels[0], levels[1], levels[2], round(float(self.information[k]), 2))


def believed(chance: Chance, names: tuple[str, ...], rows: int) -> Model:
    """The model before anything is learned."""
    duplicates, related = (beliefs.tables(chance, belief) for belief in (beliefs.of_duplicates, beliefs.of_related))
    pairs = max(rows * (rows - 1) / 2, 1.0)
    return Model(chance, names, rows, duplicates, related, 0.3 * rows / pairs, 0.15 * rows / pairs)


def learned(first: Model, sample: Sample, dependence: Any) -> Model:
    """Learn from a sample of candidates. `dependence(duplicate pairs per row)` gives `Chance.depends`; it is asked after each round."""
    model = _three_classes(first, sample, dependence)
    kind = _kind(model)
    if kind == NOISY:
        model = _with_dependence(_noisy(model, sample), dependence)
    model = replace(model, kind=kind)
    for _ in range(_RESTARTS):
        distinct, columns = _apart(model, sample)
        model = replace(model, distinguishing=tuple(sorted({*model.distinguishing, *columns})))
        if distinct is None:
            break
        found = replace(distinct, kind=CLEAR, distinguishing=model.distinguishing)
        model = _three_classes(found, sample, dependence)
    certain = _odds(_likelihoods(model, *(p := _patterns(model, sample)).evidence))[0]
    mass = float((p.counts * certain).sum())
    undecided = float((p.counts * 2 * np.minimum(certain, 1 - certain)).sum())
    return replace(model, ambiguity=undecided / max(mass, 1.0))


def _three_classes(model: Model, sample: Sample, dependence: Any) -> Model:
    for _ in range(_ROUNDS):
        patterns = _patterns(model, sample)
        for _ in range(_STEPS):
            model = _step(model, patterns)
        model = _with_dependence(model, dependence)
    return model


def _apart(model: Model, sample: Sample) -> tuple[Model | None, tuple[int, ...]]:
    """The columns in which too many of the supposed duplicates differ, and where most do, a new start: they are the related pairs.

    Errors strike all columns: one in which rows differ much more often than in the others tells entities apart that are alike in all
    else, as twins, sizes of an article, or courses of a student. A column of few bits does so only if all else is nearly equal, since
    rows of one entity may well come from different sources; one that numbers the rows never does, since a copy may have got a new number.
    """
    counts = _agreement(model, sample)
    filled = np.maximum(counts.sum(axis=1), 1e-9)
    differ = (counts * model.against()[:, 1:]).sum(axis=1) / filled
    unequal = 1 - counts[np.arange(len(counts)), model.chance.exact - 1] / filled
    telling = (model.information >= _TELLING) & (filled > 5)
    found = []
    shared = model.chance.equal * model.chance.frequencies.cells > _NUMBERED
    shared |= model.chance.frequencies.cells < model.rows
    for column in np.flatnonzero((model.information >= 1) & (filled > 5) & shared):
        others = telling & (np.arange(len(counts)) != column)
        usual = float(np.median(differ[others])) if others.any() else 0.0
        if telling[column]:
            distinct = differ[column] > max(0.1, 4 * usual)
        else:
            distinct = differ[column] >= 0.5 and others.any() and unequal[others].mean() < 0.2
        if distinct:
            found.append(int(column))
    columns = tuple(found)
    if not found or differ[found].max() < 0.5:
        return None, columns
    patterns = _patterns(model, sample)
    duplicate = _odds(_likelihoods(model, *patterns.evidence))[0]
    return _restarted(model, patterns, duplicate * patterns.counts, found[int(differ[found].argmax())]), columns


def _agreement(model: Model, sample: Sample) -> Floats:
    """The supposed duplicates by column and level from 1 on, of shape (columns, K - 1), equal cells that are no evidence included: without
    them a column that another one determines would seem to differ in all duplicates. Whole numbers: sums that no order of pairs changes.
    """
    mass = np.round(model.posteriors(sample.levels, sample.prints)[0] * (_SHARES * sample.scale))
    columns, levels = model.duplicates.shape
    counts = [np.bincount(sample.levels[:, column], mass, levels) for column in range(columns)]
    return np.asarray(np.stack(counts)[:, 1:] / _SHARES)


def _restarted(model: Model, patterns: _Patterns, mass: Floats, column: int) -> Model:
    """A start where related pairs are those of the supposed duplicates that differ in a column, and duplicates are the others."""
    apart = model.against()[column, patterns.evidence[0][:, column]]
    related = beliefs.held_related(model.chance, _counted(model, patterns, mass * apart))
    pairs = max(model.rows * (model.rows - 1) / 2, 1.0)
    shares = (float(max(mass[chosen].sum(), 1.0)) / pairs for chosen in (~apart, apart))
    duplicates = beliefs.tables(model.chance, beliefs.of_duplicates)
    return replace(model, duplicates=duplicates, related=related, duplicate_share=next(shares), related_share=next(shares))


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Distinct pairs: masked levels (patterns, columns), log2 chance (patterns,), and candidates that each stands for (patterns,)."""

    evidence: tuple[_Masked, Floats]
    counts: Floats


def _patterns(model: Model, sample: Sample) -> _Patterns:
    """In sorted order, so that sums over them do not depend on the order of the pairs."""
    used, chance = model.chance.logs(sample.levels, sample.prints)
    total = np.round(8 * np.where(used, chance, 0).sum(axis=1)).astype(np.int16)
    rows = np.concatenate([np.where(used, sample.levels, 0).astype(np.int16), total[:, None]], axis=1)
    order = np.lexsort(rows.T)
    ordered = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])) if len(rows) else np.zeros(0, np.int64)
    counts = np.diff(np.append(starts, len(rows))) * sample.scale
    kept = ordered[starts]
    return _Patterns((kept[:, :-1].astype(np.int64), kept[:, -1] / 8.0), counts.astype(np.float64))


def _logs(table: Floats) -> Floats:
    logs = np.log2(np.maximum(table, _LEAST))
    logs[:, 0] = 0
    return np.asarray(logs)


def _likelihoods(model: Model, masked: _Masked, chance: Floats) -> Floats:
    """log2 of prior times likelihood of random, duplicate and related, of shape (3, pairs)."""
    columns = np.arange(masked.shape[1])
    shares = (1 - model.duplicate_share - model.related_share, model.duplicate_share, model.related_share)
    priors = np.log2(np.maximum(shares, 1e-15))
    duplicates, related = (_logs(t)[columns, masked].sum(axis=1) for t in (model.duplicates, model.related))
    return np.stack([chance + priors[0], duplicates + priors[1], related + priors[2]])


def _odds(likelihoods: Floats) -> tuple[Floats, Floats, Floats]:
    odds = 2.0 ** (likelihoods - likelihoods.max(axis=0))
    random, duplicate, related = odds / odds.sum(axis=0)
    return duplicate, related, np.log2((duplicate + 1e-30) / (random + related + 1e-30))


def _step(model: Model, patterns: _Patterns) -> Model:
    duplicate, related, _ = _odds(_likelihoods(model, *patterns.evidence))
    mass = duplicate * patterns.counts, related * patterns.counts
    pairs = max(model.rows * (model.rows - 1) / 2, 1.0)
    return replace(
        model,
        duplicates=beliefs.held_duplicates(model.chance, _counted(model, patterns, mass[0])),
        related=beliefs.held_related(model.chance, _counted(model, patterns, mass[1])),
        duplicate_share=float(max(mass[0].sum(), 1.0)) / pairs,
        related_share=float(max(mass[1].sum(), 0.3)) / pairs,
    )


def _counted(model: Model, patterns: _Patterns, mass: Floats) -> Floats:
    """The mass of each level of each column, of shape (columns, K)."""
    masked, (columns, levels) = patterns.evidence[0], model.duplicates.shape
    places = masked + np.arange(columns) * levels
    counts: Floats = np.bincount(places.ravel(), np.repeat(mass, columns), columns * levels).astype(np.float64)
    return counts.reshape(columns, levels)


def _with_dependence(model: Model, dependence: Any) -> Model:
    return replace(model, chance=replace(model.chance, depends=dependence(2 * model.expected(model.duplicate_share))))


def _kind(model: Model) -> str:
    """See the top of the module: how the related pairs agree, columns weighing as much as they tell."""
    if model.expected(model.related_share) < 0.01:
        return CLEAR
    weights = model.information / max(float(model.information.sum()), 1e-9)
    differ = model.related[:, 1]
    tops = model.chance.exact
    alike = np.array([row[max(3, top - 2) : top + 1].sum() for row, top in zip(model.related, tops, strict=True)])
    # One column in which they agree no more than strangers is enough: they are distinct, as a family is by its birthdays.
    distinct = (alike < _APART) & (model.information >= _TELLING)
    if weights @ alike >= 0.5 and weights @ differ <= 0.25 and not distinct.any():
        return NOISY
    return TEXT if 1 - weights @ (differ + alike) > 0.5 else CLEAR


def _noisy(model: Model, sample: Sample) -> Model:
    """Learn two classes only, duplicates with any number of errors, from pairs that are duplicates more likely than not."""
    share = model.duplicate_share + model.related_share
    model = replace(model, duplicates=beliefs.tables(model.chance, beliefs.of_duplicates), duplicate_share=share, related_share=1e-15)
    pairs = max(model.rows * (model.rows - 1) / 2, 1.0)
    patterns = _patterns(model, sample)
    for _ in range(2 * _STEPS):
        duplicate = _odds(_likelihoods(model, *patterns.evidence))[0]
        mass = np.where(duplicate < 0.5, 0, duplicate) * patterns.counts
        table = beliefs.held_noisy(model.chance, _counted(model, patterns, mass))
        model = replace(model, duplicates=table, duplicate_share=float(max(mass.sum(), 1.0)) / pairs)
    return model
