"""Configurations: dataclasses of plain values, as options, as sections, as TOML.

A configuration is a frozen dataclass. A field made with :func:`option` is also an option of the
command line; its default and its help stand there and nowhere else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any

from elman.errors import UsageError
from elman.storage import read_file, shown, storage

MAX_BYTES = 1 << 20

Sections = dict[str, dict[str, Any]]


def option(default: Any, help: str) -> Any:
    """Field of a configuration that the command line offers."""
    return field(default=default, metadata={"help": help})


def write_toml(sections: Sections) -> str:
    """Sections of strings, numbers, booleans and lists of strings, as TOML."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        # JSON's scalars and arrays are TOML's; DEL is the one character only JSON lets stand.
        dump = {
            k: json.dumps(v, ensure_ascii=False).replace("\x7f", "\\u007f")
            for k, v in values.items()
        }
        lines += [f"{name} = {value}" for name, value in dump.items()]
        lines.append("")
    return "\n".join(lines)


def read_toml(path: Path) -> dict[str, Any]:
    """Read options from a TOML file, sections flattened: what ``--config`` takes.

    Raises StorageError or UsageError, the latter with the line that is not TOML.
    """
    with storage("read configuration", path):
        try:
            import tomllib  # 3 ms that a model folder does not need

            values = tomllib.loads(read_file(path, MAX_BYTES).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise UsageError("read configuration", f"{path}: {shown(error)}") from None
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def take(kinds: Mapping[str, type[Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    """Make one configuration a section from flat options; what is not given keeps its default.

    Raises UsageError for an unknown name (with the nearest) or a value of the wrong type.
    """
    homes = {f.name: (section, f) for section, kind in kinds.items() for f in fields(kind)}
    values: Sections = {section: {} for section in kinds}
    for name, value in options.items():
        if name not in homes:
            from difflib import get_close_matches  # 3 ms that only a mistake needs

            near = get_close_matches(name, homes, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError("configuration", f"there is no option {name!r}{hint}")
        section, held = homes[name]
        values[section][name] = _typed(name, value, held.default)
    return {section: kind(**values[section]) for section, kind in kinds.items()}


def plain(configs: Mapping[str, Any]) -> Sections:
    """Configurations by section as values that TOML and JSON can hold."""
    return {
        section: {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(config).items()
        }
        for section, config in configs.items()
    }


def difference(old: Sections, new: Sections, ignore: frozenset[str]) -> list[str]:
    """Say which values differ, ``name: old -> new`` each, but for the names in ``ignore``."""
    before = {k: v for section in old.values() for k, v in section.items()}
    after = {k: v for section in new.values() for k, v in section.items()}
    return [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if name not in ignore and before.get(name) != after.get(name)
    ]


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(str(each) for each in value)
    if type(value) is not type(default):
        raise UsageError(
            "configuration",
            f"{name} must be a {type(default).__name__}, found {value!r:.60}",
        )
    return value
