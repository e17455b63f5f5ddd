"""Owns a configuration as plain values that JSON can hold, for a self of the daemon that comes after exec."""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields

from lonc.config.model import Config
from lonc.config.settings import SETTINGS

_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}
_WORDS = "tuple[str, ...]"


def settings_of(config: Config) -> dict[str, object]:
    """Return a configuration as plain values that JSON can hold."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def config_of(values: dict[str, object]) -> Config | None:
    """Return the configuration that settings_of made plain, None when this release cannot use it."""
    defaults = {setting.field: setting.default for setting in SETTINGS}
    found: dict[str, object] = {}
    for field in fields(Config):
        if field.name not in values:
            default = defaults.get(field.name, None if field.default is MISSING else field.default)
            if default is None:
                return None
            found[field.name] = default
            continue
        value = values[field.name]
        if str(field.type) == _WORDS:
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                return None
            found[field.name] = tuple(value)
        elif isinstance(value, _TYPES[str(field.type)]):
            found[field.name] = value
        else:
            return None
    return Config(**found)  # type: ignore[arg-type]  # each value was compared with its field's type
