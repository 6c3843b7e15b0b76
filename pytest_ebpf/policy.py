"""Rules that hold for tests: from markers, hooks, configuration and flags, merged, checked and held to recordings.

A *layer* is what one place says: a marker, a hook, the suite's configuration, the flags. Layers are merged keyword by
keyword and phase by phase; of those that speak of both, the closest to the test decides.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import sources
from .clauses import Clause, Later, Layer, arguments, placeholders, several
from .errors import EbpfError, InconclusiveRecording
from .markers import ITEM_PHASES, KEYWORDS, Marker, ebpf
from .options import SETTINGS, read_settings
from .sources import Origin

if TYPE_CHECKING:
    from .assertions import Assertions

__all__ = ["SUITE_PHASES", "Rules", "check", "check_unchanged", "merged", "rules_of", "suite_layers", "suite_rules"]

SUITE_PHASES = ("import", "collection", "session fixture", *ITEM_PHASES, "exit")
"""Where the suite's policy holds. "session fixture" stands for each of them, however it is called."""
_LEAKS = "no_leaked_processes"
"""Told at the very end of a test, when its fixtures have ended what they started."""
_LATE = "late"
"""What a process of the test does after it: held to the rules of its call."""


class Rules:
    """The rules that hold in each phase of a test, or of the suite."""

    def __init__(
        self,
        by_phase: Mapping[str, Sequence[Clause]],
        values: Mapping[str, Any] | None = None,
        subject: Callable[[], Origin] | None = None,
    ) -> None:
        self._by_phase = {phase: tuple(rules) for phase, rules in by_phase.items() if rules}
        self._answers: dict[str, tuple[Clause, ...]] = {}
        """What `of` said."""
        self._doubtful: dict[str, tuple[Clause, ...]] = {}
        """Of those, the ones that a recording without events may break."""
        self._values: dict[str, Any] = dict(values or {})
        self._subject = subject

    def at(self, subject: Callable[[], Origin]) -> Rules:
        """The same rules for another test."""
        rules = Rules({}, self._values, subject)
        rules._by_phase, rules._answers, rules._doubtful = self._by_phase, self._answers, self._doubtful
        return rules

    def __bool__(self) -> bool:
        return bool(self._by_phase)

    def __iter__(self) -> Iterator[Clause]:
        """Each rule once."""
        return iter(dict.fromkeys(rule for rules in self._by_phase.values() for rule in rules))

    @property
    def phases(self) -> frozenset[str]:
        """Those that have to be recorded."""
        return frozenset(self._by_phase)

    def of(self, phase: str) -> tuple[Clause, ...]:
        """The rules of a phase: one of SUITE_PHASES, "session fixture db", or "late".

        Those that ask for something to happen are for the call alone; elsewhere what is forbidden counts.

        >>> Rules({}).of("session fixture db")
        ()
        """
        if not self._by_phase:
            return ()
        if phase not in self._answers:
            self._answers[phase] = self._find(_known(phase))
        return self._answers[phase]

    def _find(self, name: str) -> tuple[Clause, ...]:
        rules = self._by_phase.get("call" if name == _LATE else name, ())
        if name == _LATE:
            return tuple(rule for rule in rules if _forbids(rule.keyword))
        return tuple(rule for rule in rules if rule.keyword != _LEAKS and (name == "call" or _forbids(rule.keyword)))

    @property
    def mind_leaks(self) -> bool:
        """Whether one asks for processes that the test leaves alive."""
        return any(rule.keyword == _LEAKS for rule in self.of(_LATE))

    def learn(self, item: pytest.Item) -> None:
        """Take the values of the item's fixtures, for the placeholders; they are gone after its teardown."""
        if self:
            self._values.update(getattr(item, "funcargs", None) or {})

    def judge(self, recording: Assertions, phase: str) -> None:
        """Hold the recording of a phase against its rules.

        Raises AssertionError if any is violated, else InconclusiveRecording if any can't be decided. The text begins
        with the rule and where it is written, and that line is the end of the traceback; of a flag it is the test's.
        """
        __tracebackhide__ = True
        violated: list[tuple[Clause, str]] = []
        undecided: list[tuple[Clause, str]] = []
        rules = self.of(phase)
        if rules and recording._is_blank(is_proof_due=self._is_judged_later(phase)):
            rules = self._of_blank(phase)
        for rule in rules:
            try:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    rule.judge(recording, self._values)
            except AssertionError as problem:
                violated.append((rule, str(problem)))
            except InconclusiveRecording as problem:
                undecided.append((rule, str(problem)))
            else:
                for warning in told:
                    text = f"{rule}, {phase}: {warning.message}"
                    path, line = rule.origin.path, rule.origin.line
                    warnings.warn_explicit(text, warning.category, str(path or "pytest-ebpf"), line or 1)
        if not (violated or undecided):
            return
        text = "\n".join(f"{rule}, {phase}: {text}" for rule, text in [*violated, *undecided])
        first, _ = (violated or undecided)[0]
        place = first.origin
        if place.line is None and self._subject is not None:
            place = self._subject()
        sources.raise_at(place, AssertionError(text) if violated else InconclusiveRecording(text))

    def _of_blank(self, phase: str) -> tuple[Clause, ...]:
        if phase not in self._doubtful:
            kept = (rule for rule in self.of(phase) if not (rule.is_fixed and _forbids(rule.keyword)))
            self._doubtful[phase] = tuple(kept)
        return self._doubtful[phase]

    def _is_judged_later(self, phase: str) -> bool:
        """Whether the end of the same test will ask again whether the programs live: then once is enough."""
        if phase not in ("setup", "call"):
            return False
        return any(rule.keyword.startswith(("no_", "only_")) for rule in self.of("teardown"))


@functools.cache
def _known(phase: str) -> str:
    """The one of SUITE_PHASES that a phase belongs to, if any."""
    if " fixture " in phase:
        return "session fixture"
    return next((known for known in SUITE_PHASES if phase == known or phase.startswith(f"{known} ")), phase)


def _forbids(keyword: str) -> bool:
    """Whether a rule says what must not happen: more can only break it."""
    return keyword.startswith(("no_", "only_")) or keyword == "max"


# Merging


def rules_of(item: pytest.Item) -> Rules:
    """The rules of one test: those of the suite, of hooks and of its markers, closest first."""
    found = item.stash.get(_RULES, None)
    return _keep(item, _own_layers(item)) if found is None else found


def check_unchanged(item: pytest.Item) -> None:
    """Raise EbpfError if the test got a marker after the collection, when its rules were settled."""
    __tracebackhide__ = True
    if item.stash.get(_MARKS, marks := _marks(item)) != marks:
        raise EbpfError(
            "hold @pytest.mark.ebpf: the test got it after the collection, too late to be held "
            "(write it at the test, or add it in the hook pytest_collection_modifyitems)"
        )


def _marks(item: pytest.Item) -> tuple[int, ...]:
    return tuple(id(mark) for mark in item.iter_markers("ebpf"))


def _own_layers(item: pytest.Item) -> list[Layer]:
    return [*_hook_layers(item), *_marker_layers(item)]


def _keep(item: pytest.Item, own: Sequence[Layer]) -> Rules:
    suite = suite_layers(item.config)
    rules = _NONE
    if own:
        rules = Rules(
            merged([*suite, *own], ITEM_PHASES), _places(item.config), functools.partial(sources.of_item, item)
        )
    elif suite:
        if _COMMON not in item.config.stash:
            item.config.stash[_COMMON] = Rules(merged(suite, ITEM_PHASES), _places(item.config))
        rules = item.config.stash[_COMMON].at(functools.partial(sources.of_item, item))
    item.stash[_RULES] = rules
    item.stash[_MARKS] = _marks(item)
    return rules


_NONE = Rules({})
_COMMON = pytest.StashKey[Rules]()
"""What the suite says to tests that say nothing."""
_RULES = pytest.StashKey[Rules]()
_MARKS = pytest.StashKey[tuple[int, ...]]()
"""Which markers they are made of; an item holds them all the time, so the ids stay theirs."""


def suite_rules(config: pytest.Config) -> Rules:
    """The rules of what happens outside of tests: import, collection, session fixtures, exit."""
    values = _places(config)
    return Rules(merged(suite_layers(config), SUITE_PHASES), {**values, "tmp_path": values["basetemp"]})


def merged(layers: Iterable[Layer], phases: Sequence[str]) -> dict[str, list[Clause]]:
    """By phase, from layers of which the closest comes last."""
    table: dict[str, dict[str, tuple[Clause, ...] | None]] = {}
    for layer in layers:
        for keyword, value in layer.rules.items():
            row = table.setdefault(keyword, dict.fromkeys(phases))
            rules = None
            if value is not None:
                origin = layer.origin(keyword)
                rules = tuple(Clause(keyword, each, origin, number) for number, each in enumerate(several(value)))
            if layer.phases is not None:
                spoken = set(layer.phases)
            elif rules is None:
                spoken = set(phases)
            else:
                spoken = {"call"} | {phase for phase, wider in row.items() if wider is not None}
            row.update({phase: rules for phase in phases if phase in spoken})
    return {phase: [rule for row in table.values() for rule in row[phase] or ()] for phase in phases}


def _marker_layers(item: pytest.Item) -> Iterator[Layer]:
    for node in item.listchain():
        for mark in node.own_markers:
            if mark.name == "ebpf":
                origin = functools.partial(sources.of_marker, node, mark)
                said = _marker(mark, origin)
                yield Layer(said.rules, origin, said.phases)


def _marker(mark: pytest.Mark, origin: Callable[[str], Origin]) -> Marker:
    """What a marker says. Raises UsageError for what it can't say."""
    if mark.args:
        raise pytest.UsageError(
            f"{origin('')}: @pytest.mark.ebpf: it takes keywords only, not {mark.args[0]!r} (such as no_exec=True)"
        )
    _check_keywords(mark.kwargs, origin)
    return ebpf(**mark.kwargs)


def _hook_layers(item: pytest.Item) -> Iterator[Layer]:
    manager = item.config.pluginmanager
    everyone = [each.plugin for each in manager.hook.pytest_ebpf_policy.get_hookimpls()]
    # The last one registered, as of the closest conftest.py, comes last. Each is asked alone, to know who said what.
    for each in item.ihook.pytest_ebpf_policy.get_hookimpls():
        others = [plugin for plugin in everyone if plugin is not each.plugin]
        place = sources.of_function(each.function, item.config.rootpath)
        for answer in manager.subset_hook_caller("pytest_ebpf_policy", others)(item=item):
            origin = functools.partial(sources.in_hook, place)
            if isinstance(answer, Mapping):
                yield _layer(answer, origin, ITEM_PHASES)
            elif isinstance(answer, (Marker, pytest.MarkDecorator)):
                said = answer if isinstance(answer, Marker) else _marker(answer.mark, origin)
                yield Layer(said.rules, origin, said.phases)
            else:
                raise pytest.UsageError(
                    f"{place}: it returned {type(answer).__name__} "
                    "(valid are a dict of keywords, as in {'no_exec': True}, a marker, and None)"
                )


def _layer(said: Mapping[str, Any], origin: Callable[[str], Origin], phases: tuple[str, ...]) -> Layer:
    """A table with the keywords of the marker. Raises UsageError for another keyword."""
    _check_keywords(said, origin)
    rules = {keyword: value for keyword, value in said.items() if keyword != "phases"}
    given = said.get("phases")
    if given is not None:
        given = (given,) if isinstance(given, str) else tuple(given)
    return Layer(rules, origin, given, phases)


_LAYERS = pytest.StashKey[tuple[Layer, ...]]()


def suite_layers(config: pytest.Config) -> tuple[Layer, ...]:
    """What the configuration says, then what the flags say; read once, and checked.

    Raises UsageError for what no policy can say.
    """
    if _LAYERS not in config.stash:
        layers = tuple(_suite_layers(config))
        if layers:
            from .checks import problems

            found = [problem for layer in layers for problem in problems(layer, frozenset(_places(config)))]
            if found:
                raise pytest.UsageError("\n".join(found))
        config.stash[_LAYERS] = layers
    return config.stash[_LAYERS]


def _suite_layers(config: pytest.Config) -> Iterator[Layer]:
    written = [*_ini_layer(config), *_table_layer(config)]
    if len(written) == 2:
        raise pytest.UsageError(
            f"{written[0].origin('ebpf_policy')} and {written[1].origin('')} both hold the suite's policy (keep one)"
        )
    yield from written
    yield from _flag_layer(config, written)


def _ini_layer(config: pytest.Config) -> Iterator[Layer]:
    text = config.getini("ebpf_policy")
    if text is None:
        return
    overridden = any(each.startswith("ebpf_policy=") for each in config.getoption("override_ini", None) or ())
    if overridden:

        def origin(keyword: str) -> Origin:
            return Origin(None, None, f"-o ebpf_policy: {keyword}")
    else:
        path = config.inipath

        def origin(keyword: str) -> Origin:
            return sources.of_setting(path, config.rootpath, r"ebpf_policy", keyword, "ebpf_policy")

    if not text.strip():
        raise pytest.UsageError(f"{origin('ebpf_policy')}: the policy is empty (write a rule: no_exec = true)")
    import tomllib

    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        first = text.strip().splitlines()[0]
        raise pytest.UsageError(
            f"{origin('ebpf_policy')}: no TOML: {problem} (one rule a line, as in no_exec = true; not {first!r})"
        ) from None
    yield _checked_layer(said, origin)


def _table_layer(config: pytest.Config) -> Iterator[Layer]:
    path = config.rootpath / "pyproject.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as problem:
        raise pytest.UsageError(f"{path}: read the suite's policy: {problem}") from None
    if "ebpf" not in text.lower():
        return
    import tomllib

    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as problem:
        raise pytest.UsageError(f"{path}: no TOML: {problem}") from None
    for name in tool if isinstance(tool, dict) else ():
        if name != "pytest-ebpf" and name.lower().replace("_", "-") in ("pytest-ebpf", "ebpf"):
            raise pytest.UsageError(f"{path}: [tool.{name}] holds for nobody (did you mean [tool.pytest-ebpf]?)")
    if not isinstance(tool, dict) or "pytest-ebpf" not in tool:
        return

    def origin(keyword: str) -> Origin:
        return sources.of_setting(path, config.rootpath, r"\[tool\.[\"']?pytest-ebpf", keyword, "tool.pytest-ebpf")

    said = tool["pytest-ebpf"]
    if not isinstance(said, dict):
        raise pytest.UsageError(f"{origin('')}: expected a table, as in no_exec = true, not {said!r}")
    yield _checked_layer(said, origin)


def _checked_layer(said: Mapping[str, Any], origin: Callable[[str], Origin]) -> Layer:
    layer = _layer(said, origin, SUITE_PHASES)
    phases = SUITE_PHASES if layer.phases is None else layer.phases
    return Layer(layer.rules, origin, phases, SUITE_PHASES)


def _flag_layer(config: pytest.Config, written: Sequence[Layer]) -> Iterator[Layer]:
    settings = config.stash.get(SETTINGS, None) or read_settings(config)
    if not settings.no_network and not settings.allow:
        return
    keys = [key for key, given in (("no_network", settings.no_network), ("allow", settings.allow)) if given]
    name = " ".join(_place_of_option(config, key) for key in keys)
    allow = list(settings.allow)
    phases: tuple[str, ...] = SUITE_PHASES
    if not settings.no_network:
        wider = next((layer for layer in written if layer.rules.get("no_network") is not None), None)
        if wider is None:
            raise pytest.UsageError(
                f"{name}: there is no rule to except {', '.join(allow)} from (give --ebpf-no-network too)"
            )
        phases = wider.phases or SUITE_PHASES
        excepted = [{"allow": [*_allowed(each), *allow]} for each in several(wider.rules["no_network"])]
        rule: Any = excepted[0] if len(excepted) == 1 else [[each] for each in excepted]
    else:
        rule = {"allow": allow} if allow else True
    yield Layer({"no_network": rule}, lambda keyword: Origin(None, None, name), phases, SUITE_PHASES)


def _allowed(value: Any) -> Sequence[str]:
    args, named = arguments(value)
    before = named.get("allow", args[0] if args else ())
    return [before] if isinstance(before, str) else before


def _place_of_option(config: pytest.Config, key: str) -> str:
    if config.getoption(f"ebpf_{key}"):
        return f"--ebpf-{key.replace('_', '-')}"
    return f"{config.inipath}: ebpf_{key}" if config.getini(f"ebpf_{key}") else "pytest_ebpf_configure"


# Checking


def check(items: Iterable[pytest.Item]) -> None:
    """Check what the tests' own markers and hooks say, before the first runs.

    Lets a test have the fixture tmp_path if a rule names it. Raises UsageError that names file, line and keyword.
    """
    known: dict[tuple[Any, ...], list[str]] = {}
    problems: dict[str, None] = {}
    for item in items:
        fixtures = getattr(item, "fixturenames", None)
        try:
            layers = _own_layers(item)
        except pytest.UsageError as problem:
            problems[str(problem)] = None
            continue
        for layer in layers:
            from . import checks

            names = frozenset([*_places(item.config), *(fixtures or ())])
            unknown = tuple(sorted(placeholders(layer.rules) - names))
            key = (layer.origin(""), repr(layer.rules), layer.phases, unknown)
            if key not in known:
                known[key] = checks.problems(layer, names)
            problems.update(dict.fromkeys(known[key]))
        if not problems:
            rules = _keep(item, layers)
            named = any("tmp_path" in placeholders(rule.value) for rule in rules if not rule.is_fixed)
            if named and fixtures is not None and "tmp_path" not in fixtures:
                fixtures.append("tmp_path")
    if problems:
        shown = [*problems][:_SHOWN]
        rest = len(problems) - len(shown)
        raise pytest.UsageError("\n".join([*shown, *([f"... and {rest} more"] if rest else [])]))


_SHOWN = 20


def _check_keywords(said: Mapping[str, Any], origin: Callable[[str], Origin]) -> None:
    for keyword in said:
        if keyword not in (*KEYWORDS, "phases"):
            from difflib import get_close_matches

            near = get_close_matches(str(keyword).removeprefix("assert_"), KEYWORDS, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"valid are {', '.join(KEYWORDS)}, phases"
            raise pytest.UsageError(f"{origin(keyword)}: unknown keyword {str(keyword)!r} ({hint})")
    phases = said.get("phases")
    given = [phases] if phases is None or isinstance(phases, str) else phases
    if not isinstance(given, (list, tuple)) or not all(each is None or isinstance(each, str) for each in given):
        raise pytest.UsageError(f"{origin('phases')}: expected a list of names, not {phases!r}")


_PLACES = pytest.StashKey[Mapping[str, Any]]()


def _places(config: pytest.Config) -> Mapping[str, Any]:
    """The placeholders that are known without a test."""

    def basetemp() -> Path:
        factory: Any = getattr(config, "_tmp_path_factory", None)  # pytest gives it to tests alone
        if factory is None:
            raise pytest.UsageError("{basetemp}: pytest's plugin tmpdir is switched off (write the path out)")
        return Path(factory.getbasetemp())

    if _PLACES not in config.stash:
        config.stash[_PLACES] = {"basetemp": Later(basetemp), "home": Path.home(), "rootdir": config.rootpath}
    return config.stash[_PLACES]
