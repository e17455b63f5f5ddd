"""Owns the text of the sample configuration's list of settings, made from the table of settings.

`etc/sample/loncapa.conf` is this text; a test compares them, so that the sample always lists every
setting of this release with its default, unit and range.
"""

from __future__ import annotations

from lonc.config.settings import OURS, SERVER, Setting

_HEAD = """\
# Settings of lonc, and behind them of lond. Every one is listed with its default and commented out:
# remove the `#` to change one.
# This file is read after loncapa_apache.conf and wins over it. Times may have a fraction (0.5).
# An unknown name that starts with `lonc` or `lond`, a value of the wrong kind and one out of range are errors, all
# told at once with their lines:
#
#     bin/lonc -t --conf-dir THIS_DIRECTORY
"""


def settings_text() -> str:
    """Return the sample loncapa.conf: for each setting its meaning, what is allowed, and the default."""
    return _HEAD + "".join(_entry(setting) for setting in OURS + SERVER)


def _entry(setting: Setting) -> str:
    line = f"#PerlSetVar {setting.name} {setting.default_text()}".rstrip()
    return f"\n# {setting.meaning}: {setting.allowed()}\n{line}\n"
