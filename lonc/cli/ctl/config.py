"""Show every setting: its value, unit, default, what is allowed, what it means, and where it comes from.

A password in the address of the store is never shown (lonc/config/masking.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import dataclass

from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit
from lonc.config import SETTINGS, Config, Given, Setting, find_conf_dir, load_with_origins, masked
from lonc.config.settings import NUMBER, STORE, WHOLE, Value, show

_EPILOG = """\
exit codes: 0 shown, 2 the configuration cannot be used (every mistake is told with its line).
A setting that no file gives has its default. Change one by a line `PerlSetVar NAME VALUE` in loncapa.conf, which
wins over loncapa_apache.conf; then `loncctl check` and `loncctl restart`."""

WIDE_COLUMNS = 150


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it is. value: as in the configuration, masked; given: where, None for a default."""

    setting: Setting
    value: Value
    given: Given | None

    @property
    def changed(self) -> bool:
        """Return whether the value is another than the default."""
        if self.setting.default is None:
            return True
        return self.given is not None and self.given.value != self.setting.default


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add --origin, --changed and names."""
    parser.epilog = _EPILOG
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these settings, or whose names begin so")
    parser.add_argument("--origin", action="store_true", help="tell the file and line that each value comes from")
    parser.add_argument("--changed", action="store_true", help="only settings that differ from their default")


def run(options: argparse.Namespace, out: Output) -> int:
    """Show the settings; USAGE when a name fits none."""
    conf_dir = find_conf_dir(options.conf_dir, os.environ)
    config, given = load_with_origins(conf_dir)
    unknown = [name for name in options.names if not any(_fits(setting, [name]) for setting in SETTINGS)]
    if unknown:
        out.complain(f"no setting is called, or begins with, {' or '.join(unknown)}")
        return Exit.USAGE
    chosen = [
        shown
        for shown in (_shown(setting, config, given.get(setting.name)) for setting in SETTINGS)
        if _fits(shown.setting, options.names) and (shown.changed or not options.changed)
    ]
    columns = ["setting", "value", "unit", "default", "range", *(["from"] if options.origin else []), "meaning"]
    rows = [_row(shown, origin=options.origin) for shown in chosen]
    if out.terminal and shutil.get_terminal_size().columns < WIDE_COLUMNS:
        for row in rows:
            _tell(out, dict(zip(columns, row, strict=True)))
    else:
        out.table(columns, rows)
    for warning in config.warnings:
        out.say(f"warning: {warning}")
    out.json(_document(config, chosen))
    return Exit.DONE


def _fits(setting: Setting, names: list[str]) -> bool:
    return not names or any(setting.name.lower().startswith(name.lower()) for name in names)


def _shown(setting: Setting, config: Config, given: Given | None) -> Shown:
    return Shown(setting, _safe(setting, getattr(config, setting.field)), given)


def _safe(setting: Setting, value: Value) -> Value:
    return masked(str(value)) if setting.kind is STORE else value


def _row(shown: Shown, *, origin: bool) -> list[str]:
    setting = shown.setting
    default = "(must be given)" if setting.default is None else setting.default_text() or "(none)"
    place = [_origin(shown.given)] if origin else []
    limits = f"{show(setting.low)} to {show(setting.high)}" if setting.kind in (NUMBER, WHOLE) else ""
    return [setting.name, show(shown.value) or "(none)", setting.unit, default, limits, *place, setting.meaning]


def _tell(out: Output, cells: dict[str, str]) -> None:
    """Show one setting in lines of its own, for terminals too narrow for the table."""
    unit = f" {cells['unit']}" if cells["unit"] else ""
    limits = f", {cells['range']}" if cells["range"] else ""
    out.say(f"{cells['setting']} = {cells['value']}{unit}", style="bold")
    out.say(f"    {cells['meaning']} (default {cells['default'].strip('()')}{limits})")
    if "from" in cells:
        out.say(f"    from {cells['from']}")


def _origin(given: Given | None) -> str:
    if given is None:
        return "default"
    over = ", ".join(f"{path}:{line}" for path, line in given.earlier)
    return f"{given.path}:{given.line}" + (f" (wins over {over})" if over else "")


def _document(config: Config, chosen: list[Shown]) -> dict[str, object]:
    return {
        "conf_dir": config.conf_dir,
        "sources": list(config.sources),
        "warnings": list(config.warnings),
        "settings": [_plain(shown) for shown in chosen],
    }


def _plain(shown: Shown) -> dict[str, object]:
    setting, given = shown.setting, shown.given
    return {
        "name": setting.name,
        "value": _json(shown.value),
        "unit": setting.unit,
        "default": None if setting.default is None else _json(setting.default),
        "allowed": setting.allowed(),
        "meaning": setting.meaning,
        "changed": shown.changed,
        "origin": None if given is None else {"file": given.path, "line": given.line},
        "wins_over": [] if given is None else [{"file": path, "line": line} for path, line in given.earlier],
    }


def _json(value: Value) -> object:
    """Return a value as JSON has it: numbers without a needless fraction, lists for tuples."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        # Bytes of a path that are no UTF-8 stand in it as surrogates, which strict readers of JSON refuse.
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value
