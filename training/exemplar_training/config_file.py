"""A run's configuration as TOML: read strictly, overridden by `--set a.b=c`, written back."""

from __future__ import annotations

import json
import tomllib
from dataclasses import Field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from exemplar_training.config import LEAST, MOST, RunConfig
from exemplar_training.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

FILE = "config.toml"  # of a run
Config = TypeVar("Config")
_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple[str, ...]: "a list of strings",
    tuple[int, ...]: "a list of whole numbers",
}


def read(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    """The run's configuration in `path`; see `read_as`."""
    return read_as(RunConfig, path, overrides)


def read_as(kind: type[Config], path: Path, overrides: Iterable[str] = ()) -> Config:
    """The configuration in `path`, then `overrides` such as "data.batch=32".

    Raises:
        ConfigError: unreadable, an unknown key, a wrong type or a number out of its range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"config: expected a TOML file, got {error}") from error
    return _overridden(kind, table, overrides)


def parse(text: str, overrides: Iterable[str] = ()) -> RunConfig:
    """What `as_toml` wrote, then `overrides`; raises as `read_as` does."""
    try:
        table = tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"config: expected TOML, got {error}") from error
    return _overridden(RunConfig, table, overrides)


def from_table(kind: type[Config], table: Mapping[str, Any], path: str = "") -> Config:
    """`table` as the dataclass `kind`; what it does not name keeps its default.

    Raises:
        ConfigError: names the key, what was expected and what was got.
    """
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            known = ", ".join(hints)
            raise ConfigError(f"{path}{key}: expected one of {known}, got an unknown key")
    known_fields = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    values = {
        key: _checked(known_fields[key], hints[key], value, f"{path}{key}")
        for key, value in table.items()
    }
    return kind(**values)


def flat(config: Any, path: str = "") -> dict[str, Any]:
    """Every value by its dotted key, in the order of the fields."""
    values: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        key = f"{path}{each.name}"
        values |= flat(value, f"{key}.") if is_dataclass(value) else {key: value}
    return values


def as_toml(config: RunConfig) -> str:
    """All of it, defaults too; reading it back gives an equal configuration."""
    lines: list[str] = []
    table = ""
    for key, value in flat(config).items():
        head, _, name = key.rpartition(".")
        if head != table:
            lines += ["", f"[{head}]"]
            table = head
        lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """JSON's spelling, which is TOML's for all that a configuration holds."""
    listed = list(value) if isinstance(value, tuple) else value
    return json.dumps(listed, ensure_ascii=False)


def _overridden(kind: type[Config], table: dict[str, Any], overrides: Iterable[str]) -> Config:
    for override in overrides:
        _override(kind, table, override)
    return from_table(kind, table)


def _override(kind: type[Any], table: dict[str, Any], text: str) -> None:
    """Puts `a.b=c` into the table; the last part of the key is checked later, with all others."""
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    hint = _hint(kind, parts)
    if not equals or hint is None:
        known = ", ".join(_keys(kind))
        raise ConfigError(f"--set: expected KEY=VALUE with a KEY of {known}, got {text!r}")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{part}: expected a table, got {table!r}")
    table[parts[-1]] = _parsed(value.strip(), hint)


def _keys(kind: type[Any], path: str = "") -> Iterator[str]:
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _keys(hint, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def _hint(kind: type[Any], parts: list[str]) -> Any:
    """The type of the value at this key; None where there is no such value."""
    hint: Any = kind
    for part in parts:
        hint = get_type_hints(hint).get(part) if is_dataclass(hint) else None
    return None if is_dataclass(hint) else hint


def _parsed(text: str, hint: Any) -> Any:
    """A string needs no quotes on a command line; everything else is TOML."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text
    is_text = hint is str or get_origin(hint) is Literal
    return text if is_text and not isinstance(value, str) else value


def _checked(known: Field[Any], hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: expected a table, got {value!r}")
        return from_table(hint, value, f"{path}.")
    if get_origin(hint) is Literal:
        return _one_of(get_args(hint), value, path)
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{path}: expected a table, got {value!r}")
        return {
            key: _typed(get_args(hint)[1], each, f"{path}.{key}") for key, each in value.items()
        }
    typed = _typed(hint, value, path)
    if known.metadata:
        _check_range(typed, known.metadata, path)
    return typed


def _one_of(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value not in choices:
        raise ConfigError(f"{path}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def _typed(hint: Any, value: Any, path: str) -> Any:
    """`value` as the type; a whole number is a number too, true and false are not."""
    if hint is float and type(value) is int:
        return float(value)
    if get_origin(hint) is tuple:
        kind = get_args(hint)[0]
        is_right = isinstance(value, list | tuple) and all(type(each) is kind for each in value)
        converted: Any = tuple(value) if is_right else value
    else:
        is_right, converted = type(value) is hint, value
    if not is_right:
        raise ConfigError(f"{path}: expected {_NAMES[hint]}, got {value!r}")
    return converted


def _check_range(value: float, metadata: Mapping[str, float], path: str) -> None:
    least, most = metadata[LEAST], metadata[MOST]
    if not least <= value <= most:  # written so that NaN fails too
        expected = f"at least {least}" if most == float("inf") else f"{least}..{most}"
        raise ConfigError(f"{path}: expected {expected}, got {value}")
