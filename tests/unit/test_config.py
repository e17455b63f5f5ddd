"""Settings and Apache-style files (spec files.md 1): what is read, and how every mistake is told."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from lonc.config import (
    BY_NAME,
    DEFAULT_CONF_DIR,
    SETTINGS,
    Config,
    Setting,
    find_conf_dir,
    load_config,
    valid_id,
)
from lonc.config.apache import READ_LIMIT
from lonc.config.sample import settings_text
from lonc.config.settings import NUMBER, ORIGINAL, OURS, SERVER, SWITCH, WHOLE
from lonc.errors import ConfigError

SAMPLE = Path(__file__).parents[2] / "etc" / "sample"

# Written from the text of files.md 1, independently of the table in the code.
SPEC_DEFAULTS = """
lonDaemons=/home/httpd/perl lonSockDir=/home/httpd/sockets lonTabDir=/home/httpd/lonTabs
lonDocRoot=/home/httpd/html lonUsersDir=/home/httpd/lonUsers londPort=5663 loncUser=www loncAllowUsers=
loncMaxAttempts=5 loncRetryMin=120 loncRetryMax=360 loncRestartMin=1 loncRedialMax=15 loncGrace=2
loncRequestTimeout=300 loncDelayedTimeout=60 loncInitTimeout=60 loncConnectTimeout=5 loncPong=on
loncPongDelay=0 loncPipeline=256 loncDelayedPipeline=1 loncMaxConnections=1 loncSpreadAfter=20
loncIdleTimeout=3600 loncOnDemand=off loncDelayedScan=15 loncDeleteOnAnyReply=off loncDebugFor=3600
loncStableAfter=300 loncStopTimeout=10 loncHandover=1 loncMaxLine=16777216 loncClientBuffer=67108864
loncMaxClients=4096 loncJsonLog=off loncLogIds=off loncPage=off loncLinkKeepalive=60 loncSourceAddress=* loncVia=
"""


def write(folder: Path, text: str | bytes, name: str = "loncapa.conf") -> Path:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    return folder / name


def load(folder: Path, text: str | bytes) -> Config:
    own = b"PerlSetVar lonHostID me\n"
    write(folder, own + (text if isinstance(text, bytes) else text.encode()))
    return load_config(str(folder))


def problems(folder: Path, text: str | bytes) -> list[str]:
    """Return the problems of text, which starts in line 2, without the directory."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def refuses(setting: Setting, word: str) -> bool:
    try:
        setting.parse(word)
    except ValueError:
        return True
    return False


def test_defaults_are_those_of_the_spec(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    for pair in SPEC_DEFAULTS.split():
        name, _, text = pair.partition("=")
        assert BY_NAME[name].default_text() == text
        value = getattr(config, BY_NAME[name].field)
        assert value == BY_NAME[name].parse(text)
    ours = {pair.partition("=")[0] for pair in SPEC_DEFAULTS.split() if pair.startswith("lonc")}
    assert ours == {setting.name for setting in OURS}


def test_table_and_dataclass_have_the_same_fields_and_types(tmp_path: Path) -> None:
    own = {"conf_dir", "sources", "given", "warnings", "via_places"}
    fields = {field.name: str(field.type) for field in dataclasses.fields(Config) if field.name not in own}
    assert fields.keys() == {setting.field for setting in SETTINGS}
    assert len(BY_NAME) == len(SETTINGS) == len(fields)
    config = load(tmp_path, "")
    for name, type_name in fields.items():
        value = getattr(config, name)
        assert type(value).__name__ == type_name.partition("[")[0], name


def test_the_later_file_and_the_later_line_win(tmp_path: Path) -> None:
    write(tmp_path, "PerlSetVar lonHostID a\nPerlSetVar londPort 1\n", "loncapa_apache.conf")
    write(tmp_path, "PerlSetVar lonHostID b\nPerlSetVar loncGrace 1\nPerlSetVar loncGrace 1.5 ignored\n")
    config = load_config(str(tmp_path))
    assert (config.host_id, config.port, config.grace_s) == ("b", 1, 1.5)
    assert config.sources == (f"{tmp_path}/loncapa_apache.conf", f"{tmp_path}/loncapa.conf")
    assert config.given == 3


def test_only_perlsetvar_lines_count(tmp_path: Path) -> None:
    text = """
    # PerlSetVar loncGrace wrong
    <Location /x>
    \t  PerlSetVar\tloncGrace\t 3\t \r
    PerlAddVar loncGrace wrong
    loncGrace wrong
    PerlSetVar
    PerlSetVar lonOther whatever
    PerlSetVar lonNew 1
    PerlSetVar LONCGRACE 1
    </Location>
    """
    assert load(tmp_path, text).grace_s == 3.0


def test_any_bytes_are_survived(tmp_path: Path) -> None:
    junk = bytes(range(256)) * 40
    config = load(tmp_path, junk + b"\n\xffPerlSetVar lonDaemons /a\xff\xe9\nPerlSetVar \xff \xfe\n")
    assert os.fsencode(config.daemons_dir) == b"/a\xff\xe9"
    assert problems(tmp_path, b"PerlSetVar loncGrace \xff\x1b[1m\n") == [
        "loncapa.conf:2: loncGrace is '\\udcff\\x1b[1m'; a number of seconds from 0 to 60 is allowed"
    ]


def test_a_byte_order_mark_hides_neither_line_nor_comment(tmp_path: Path) -> None:
    write(tmp_path, b"\xef\xbb\xbf# PerlSetVar lonHostID no\nPerlSetVar lonHostID yes\n")
    assert load_config(str(tmp_path)).host_id == "yes"


def test_all_problems_of_both_files_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "PerlSetVar londPort 0\nPerlSetVar lonHostID .x\n", "loncapa_apache.conf")
    pairs = ("loncGrace 2x", "loncPipline 5", "loncPong maybe", "loncPipeline")
    write(tmp_path, "".join(f"PerlSetVar {pair}\n" for pair in pairs))
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path))
    told = str(caught.value).replace(f"{tmp_path}/", "").splitlines()
    assert told[0] == "loncapa_apache.conf:1: londPort is '0'; a whole number from 1 to 65535 is allowed"
    assert told[1].startswith("loncapa_apache.conf:2: lonHostID is '.x'; an id of 1 to 64 letters")
    assert told[2:] == [
        "loncapa.conf:1: loncGrace is '2x'; a number of seconds from 0 to 60 is allowed",
        "loncapa.conf:2: 'loncPipline' with the value '5' is not a setting of lonc; is loncPipeline meant?",
        "loncapa.conf:3: loncPong is 'maybe'; on or off is allowed",
        "loncapa.conf:4: loncPipeline is without a value; a whole number from 1 to 65536 is allowed",
    ]


def test_case_of_a_name_is_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, "PerlSetVar loncgrace 2\n")
    assert told.endswith("is loncGrace meant?")
    (told,) = problems(tmp_path, "PerlSetVar loncZzzzzzzzz 2\n")
    assert told.endswith("etc/sample/loncapa.conf lists all settings")


NUMBERS = [one for one in OURS + SERVER if one.kind in (NUMBER, WHOLE)]


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda one: one.name)
def test_ranges_hold_at_both_ends(setting: Setting) -> None:
    step = 0.001 if setting.kind is NUMBER else 1
    for inside in (setting.low, setting.high):
        assert setting.parse(f"{inside:.3f}" if setting.kind is NUMBER else str(int(inside))) == inside
    for outside in (setting.low - step, setting.high + step):
        assert refuses(setting, f"{outside:.3f}" if setting.kind is NUMBER else str(int(outside)))
    assert setting.low <= float(setting.default_text()) <= setting.high


@pytest.mark.parametrize("word", ["", "nan", "inf", "1e1", "-1", "+1", "1_0", "0x1", "٣", "1.", ".5", "9" * 5000])
def test_numbers_are_plain_decimals(word: str) -> None:
    if word in ("1.", ".5"):
        assert BY_NAME["loncGrace"].parse(word) == float(word)
    else:
        assert refuses(BY_NAME["loncGrace"], word)
    assert refuses(BY_NAME["loncPipeline"], word)


def test_switches_and_lists() -> None:
    switches = [setting for setting in SETTINGS if setting.kind is SWITCH]
    assert [setting.parse("On") for setting in switches] == [True] * len(switches)
    users = BY_NAME["loncAllowUsers"]
    assert users.parse("") == ()
    assert users.parse("a,b-c") == ("a", "b-c")
    assert all(refuses(users, wrong) for wrong in ("a,", ",", "a;b", "-a"))


def test_words_that_are_only_passed_on_are_not_judged(tmp_path: Path) -> None:
    pairs = ("lonAdmEMail a@b,c@d", "lonRole whatever", "lonDefDomain")
    config = load(tmp_path, "".join(f"PerlSetVar {pair}\n" for pair in pairs))
    assert (config.admin_mail, config.role, config.default_domain) == ("a@b,c@d", "whatever", "")


def test_pairs_that_exclude_each_other(tmp_path: Path) -> None:
    assert problems(tmp_path, "PerlSetVar loncRetryMin 400\n") == [
        "loncapa.conf:2: loncRetryMin is '400'; at most loncRetryMax ('360') is allowed"
    ]
    assert problems(tmp_path, "PerlSetVar loncRetryMax 100\n") == [
        "loncapa.conf:2: loncRetryMin is '120'; at most loncRetryMax ('100') is allowed"
    ]
    assert len(problems(tmp_path, "PerlSetVar loncHandover 5\nPerlSetVar loncStopTimeout 5\n")) == 1
    assert load(tmp_path, "PerlSetVar loncRetryMin 360\n").retry_min_s == 360.0


def test_own_id_is_needed(tmp_path: Path) -> None:
    write(tmp_path, "PerlSetVar loncGrace 1\n")
    with pytest.raises(ConfigError, match="lonHostID is not set; an id of 1 to 64"):
        load_config(str(tmp_path))


def test_one_of_the_files_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither loncapa_apache\.conf nor loncapa\.conf is there"):
        load_config(str(tmp_path))
    with pytest.raises(ConfigError, match="neither"):
        load_config(str(tmp_path / "missing"))


def test_unreadable_files_are_problems(tmp_path: Path) -> None:
    write(tmp_path, "PerlSetVar lonHostID me\n")
    os.mkfifo(tmp_path / "loncapa_apache.conf")
    with pytest.raises(ConfigError, match=r"loncapa_apache\.conf: cannot be read: it is no regular file"):
        load_config(str(tmp_path))
    os.unlink(tmp_path / "loncapa_apache.conf")
    (tmp_path / "loncapa_apache.conf").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path))
    os.rmdir(tmp_path / "loncapa_apache.conf")
    os.symlink("loncapa_apache.conf", tmp_path / "loncapa_apache.conf")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path))
    os.unlink(tmp_path / "loncapa_apache.conf")
    with open(tmp_path / "loncapa_apache.conf", "wb") as file:
        file.truncate(READ_LIMIT + 1)
    with pytest.raises(ConfigError, match="larger than"):
        load_config(str(tmp_path))


def test_paths_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    os.symlink("conf", tmp_path / "link")
    write(tmp_path / "conf", "PerlSetVar lonHostID me\nPerlSetVar lonDaemons ../d/\nPerlSetVar lonTabDir ./t\n")
    config = load_config(os.path.relpath(tmp_path / "link"))
    assert config.conf_dir == str(tmp_path / "link")
    assert config.daemons_dir == str(tmp_path / "d")
    assert config.tab_dir == str(tmp_path / "link" / "t")
    assert config.log_path == str(tmp_path / "d" / "logs" / "lonc.log")
    names = ("perm_log_path", "pid_path", "lock_path", "scoreboard_path", "wanted_path", "errors_path")
    assert [os.path.basename(getattr(config, name)) for name in names] == [
        "lonnet.perm.log", "lonc.pid", "lonc.lock", "lonc.scoreboard", "lonc.wanted", "lonc_errors",
    ]  # fmt: skip
    assert config.status_path == "/home/httpd/html/lon-status/loncstatus.txt"
    assert config.delayed_dir == "/home/httpd/sockets/delayed"
    assert config.socket_path("x") == "/home/httpd/sockets/x"
    (told,) = problems(tmp_path, b"PerlSetVar lonSockDir /a\x00b\n")
    assert "a path without blanks or control characters is allowed" in told


def test_settings_without_effect_are_told(tmp_path: Path) -> None:
    assert load(tmp_path, "PerlSetVar loncMaxConnections 10\nPerlSetVar loncOnDemand on\n").warnings == ()
    idle = "PerlSetVar loncIdleTimeout 5\n"
    config = load(tmp_path, f"PerlSetVar loncMaxConnections 1\nPerlSetVar loncSpreadAfter 5\n{idle}")
    assert [text.replace(f"{tmp_path}/", "") for text in config.warnings] == [
        "loncapa.conf:3: loncSpreadAfter 5 has no effect while loncMaxConnections is 1",
        "loncapa.conf:4: loncIdleTimeout 5 has no effect while loncMaxConnections is 1 and loncOnDemand is off",
    ]
    assert load(tmp_path, f"{idle}PerlSetVar loncOnDemand on\n").warnings == ()
    assert load(tmp_path, f"{idle}PerlSetVar loncMaxConnections 2\n").warnings == ()
    assert len(problems(tmp_path, "PerlSetVar loncMaxConnections 65\n")) == 1


def test_conf_dir_is_option_then_environment_then_default() -> None:
    environ = {"LONCAPA_CONF_DIR": "/e"}
    assert find_conf_dir("/o", environ) == "/o"
    assert find_conf_dir("rel", {}) == os.path.join(os.getcwd(), "rel")
    assert find_conf_dir(None, environ) == "/e"
    assert find_conf_dir(None, {"LONCAPA_CONF_DIR": ""}) == DEFAULT_CONF_DIR == "/etc/httpd/conf"


def test_valid_ids() -> None:
    assert all(valid_id(text) for text in ("a", "msul1", "a.b-c_D", "9", "_", "x" * 64))
    wrong = ("", ".a", "-a", "a/b", "a b", "é", "delayed", "x" * 65, "a\n", "٣")
    assert not any(valid_id(text) for text in wrong)


def test_sample_lists_every_setting_with_its_default() -> None:
    text = (SAMPLE / "loncapa.conf").read_text()
    lines = text.splitlines()
    for setting in OURS + SERVER:
        at = lines.index(f"#PerlSetVar {setting.name} {setting.default_text()}".rstrip())
        assert setting.meaning in lines[at - 1]
        assert setting.allowed() in lines[at - 1]
    assert text == settings_text(), "make it anew: python -c 'from lonc.config.sample import *; ...'"
    originals = (SAMPLE / "loncapa_apache.conf").read_text()
    for setting in ORIGINAL:
        assert f"PerlSetVar {setting.name}" in originals


def test_sample_uncommented_is_the_default(tmp_path: Path) -> None:
    text = (SAMPLE / "loncapa.conf").read_text().replace("\n#PerlSetVar", "\nPerlSetVar")
    assert load(tmp_path, text).given == len(OURS + SERVER) + 1
    plain = dataclasses.replace(load(tmp_path, ""), given=len(OURS + SERVER) + 1)
    assert load(tmp_path, text) == plain
