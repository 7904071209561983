"""What to clean, and how: an ordered list of steps with options, and how duplicates are found.

Two recipes come with the program: `careful` (default) repairs only what it is sure of, `complete` also fills every missing value and caps
every outlier. A YAML file names its own steps, or starts from one of the two:

    extends: careful
    steps:
      dates: {order: dmy}          # an option
      null_tokens: false           # leave a step out
      numbers: {except: [version]} # not for these columns; `only: […]` for some alone
    duplicates: {ignore: [row_id], key: []}
    contract: {default: evolve, columns: {status: freeze, country: quarantine}} # what a later delivery may change
    seed: 0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from data_sanitizer import extensions
from data_sanitizer.comparison.contract import POLICIES, Contract
from data_sanitizer.errors import RecipeError
from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile, after_cleaning

CAREFUL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fix_encoding", {}),
    ("normalize_unicode", {}),
    ("trim_blanks", {}),
    ("null_tokens", {}),
    ("category_spelling", {}),
    ("category_typos", {}),
    ("booleans", {}),
    ("numbers", {}),
    ("dates", {}),
    ("outliers", {}),
    ("flag_personal_data", {}),
)
COMPLETE = (
    *(("booleans", {"words": "all"}) if name == "booleans" else (name, options) for name, options in CAREFUL),
    ("cap_outliers", {}),
    ("fill_missing", {}),
)
RECIPES = {"careful": CAREFUL, "complete": COMPLETE}
_SCOPE = {"only": None, "except": None}
_KEYS = ("extends", "steps", "duplicates", "contract", "seed")


@dataclass(frozen=True, slots=True)
class DuplicateRules:
    """Which rows count as duplicates: equal in all columns but `ignore`, or in the columns of `key` alone; and, with `near`, those that
    are one entity although some cells differ. A `key` says what a duplicate is, so no others are sought then."""

    remove: bool = True
    near: bool = True
    golden: bool = False  # empty cells of a row that is kept are filled from its near-duplicates
    ignore: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    at_once: int | None = None  # rows of a dataset up to which all are searched at each delivery; None: as many as the memory allows

    def columns(self, all_columns: list[str]) -> list[str]:
        """The columns that are compared."""
        return [c for c in all_columns if (c in self.key if self.key else c not in self.ignore)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The resolved steps, each with all its options."""

    name: str = "careful"
    steps: tuple[tuple[str, dict[str, Any]], ...] = CAREFUL
    duplicates: DuplicateRules = field(default_factory=DuplicateRules)
    seed: int = 0
    contract: Contract = field(default_factory=Contract)

    def keep_duplicates(self) -> Recipe:
        """The same recipe, removing no row."""
        return replace(self, duplicates=replace(self.duplicates, remove=False))

    def described(self) -> dict[str, Any]:
        """The recipe as plain values, for manifest.json and the report."""
        steps = [{"step": name, "version": extensions.load("steps", name).VERSION, "options": options} for name, options in self.steps]
        duplicates = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.duplicates).items() if v is not None}
        contract = {"contract": self.contract.described()} if self.contract != Contract() else {}
        return {"name": self.name, "steps": steps, "duplicates": duplicates, **contract, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe applied to a profile: for each step the columns it works on, in order. Plain values, ready to travel to a worker."""

    stages: tuple[tuple[Action, ...], ...]

    def actions(self, *modes: str) -> list[Action]:
        """All actions of the given modes, in order."""
        return [a for stage in self.stages for a in stage if a.mode in modes]


def load_recipe(source: str | Path | Mapping[str, Any] | Recipe | None) -> Recipe:
    """A recipe by name (`careful`, `complete`), from a YAML file, from a mapping of the same form, or as it is."""
    if isinstance(source, Recipe):
        return source
    if source is None or str(source) in RECIPES:
        return _resolved(str(source or "careful"), {"extends": str(source or "careful")})
    if isinstance(source, Mapping):
        return _resolved("recipe", source)
    return _resolved(Path(source).name, _yaml(Path(source)))


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        known = ", ".join(RECIPES)
        raise RecipeError(recipe=path, why=f"the file cannot be read ({error.strerror})", kind="recipes", known=known) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise RecipeError(recipe=path, why=f"it is not valid YAML{where}", kind="keys", known=", ".join(_KEYS)) from error
    if not isinstance(content, dict):
        raise RecipeError(recipe=path, why="it is not a mapping", kind="keys", known=", ".join(_KEYS))
    return content


def _resolved(name: str, content: Mapping[str, Any]) -> Recipe:
    _known(name, "keys", content, (*_KEYS, "name"))
    parent = content.get("extends")
    if parent is not None:
        _known(name, "recipes", [parent], tuple(RECIPES))
    steps = dict(RECIPES[parent]) if parent else {}
    for step, options in _steps(name, content.get("steps") or {}):
        _known(name, "steps", [step], extensions.names("steps"))
        if options is False:
            steps.pop(step, None)
        else:
            steps[step] = {**steps.get(step, {}), **({} if options in (None, True) else dict(options))}
    ordered = tuple((step, _options(name, step, options)) for step, options in steps.items())
    seed = content.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise RecipeError(recipe=name, why="seed is not a whole number", kind="keys", known=", ".join(_KEYS))
    duplicates, contract = _duplicates(name, content.get("duplicates") or {}), _contract(name, content.get("contract") or {})
    return Recipe(str(content.get("name", name)), ordered, duplicates, seed, contract)


def _steps(recipe: str, given: Any) -> list[tuple[str, Any]]:
    if isinstance(given, dict):
        return list(given.items())
    if not isinstance(given, list):
        raise RecipeError(
            recipe=recipe, why="`steps` is neither a list nor a mapping", kind="steps", known=", ".join(extensions.names("steps"))
        )
    return [(entry, None) if isinstance(entry, str) else next(iter(entry.items())) for entry in given]


def _options(recipe: str, step: str, options: Mapping[str, Any]) -> dict[str, Any]:
    defaults = dict(extensions.load("steps", step).OPTIONS)
    _known(recipe, f"options of {step}", options, (*defaults, *_SCOPE))
    return {**defaults, **options}


def _duplicates(recipe: str, given: Any) -> DuplicateRules:
    fields = ("remove", "near", "golden", "ignore", "key", "at_once")
    if not isinstance(given, dict):
        raise RecipeError(recipe=recipe, why="`duplicates` is not a mapping", kind="options of duplicates", known=", ".join(fields))
    _known(recipe, "options of duplicates", given, fields)
    remove, near, golden = (bool(given.get(name, default)) for name, default in (("remove", True), ("near", True), ("golden", False)))
    at_once = given.get("at_once")
    if at_once is not None and (not isinstance(at_once, int) or at_once < 1):
        raise RecipeError(recipe=recipe, why="`at_once` is not a number of rows", kind="options of duplicates", known=", ".join(fields))
    return DuplicateRules(remove, near, golden, tuple(given.get("ignore") or ()), tuple(given.get("key") or ()), at_once)


def _contract(recipe: str, given: Any) -> Contract:
    columns = given.get("columns") or {} if isinstance(given, dict) else None
    if not isinstance(columns, dict):
        raise RecipeError(recipe=recipe, why="`contract` or its `columns` is not a mapping", kind="options of contract",
                          known="default, columns")  # fmt: skip
    _known(recipe, "options of contract", given, ("default", "columns"))
    default = given.get("default")
    _known(recipe, "policies", [*columns.values(), *([] if default is None else [default])], POLICIES)
    return Contract(default, {str(column): policy for column, policy in columns.items()})


def _known(recipe: str, kind: str, given: Any, known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise RecipeError(recipe=recipe, why=f"{name!r} is not one of the {kind}", kind=kind, known=", ".join(known))


def make_plan(recipe: Recipe, profiles: Mapping[str, ColumnProfile]) -> Plan:
    """Ask every step about every column; raises RecipeError where the recipe names a column that the table does not have."""
    _check_columns(recipe, profiles)
    stages = []
    for step, options in recipe.steps:
        module = extensions.load("steps", step)
        chosen = [c for c in profiles if _in_scope(c, options)]
        actions = tuple(a for c in chosen if (a := module.plan(c, profiles[c], options)) is not None)
        stages.append(actions)
        profiles = after_cleaning(profiles, {a.column: module.clean(a) for a in actions if a.mode == "clean"})
    return Plan(tuple(stages))


def _in_scope(column: str, options: Mapping[str, Any]) -> bool:
    return (options.get("only") is None or column in options["only"]) and column not in (options.get("except") or ())


def _check_columns(recipe: Recipe, profiles: Mapping[str, ColumnProfile]) -> None:
    named = [*recipe.duplicates.ignore, *recipe.duplicates.key]
    for _, options in recipe.steps:
        named += [*(options.get("only") or ()), *(options.get("except") or ())]
    _known(recipe.name, "columns of the input", named, tuple(profiles))


def converts(plan: Plan) -> dict[str, Action]:
    """Column -> the action that gives it a type."""
    return {a.column: a for a in plan.actions("convert")}
