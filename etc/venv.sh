# Owns the virtual environment in the tree. Sourced by POSIX sh scripts:
#
#   venv_ready TREE [EXTRA]   return 0 when TREE/.venv has what setup.cfg asks for (with the extra, `test`)
#
# The package itself is not installed: it is imported from the tree. Dependencies are installed again only
# when setup.cfg or the Python changed, which a stamp in .venv tells, so that a later start takes no time.
# Everything goes to stderr.

venv_say() { printf '%s\n' "$*" >&2; }

# Print the first Python that is new enough; nothing when there is none.
venv_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$name"
            return 0
        fi
    done
    return 1
}

# Say what to install on this system: for apt $1, for dnf $2.
venv_advice() {
    root=''
    [ "$(id -u)" = 0 ] || root='sudo '
    if command -v apt-get >/dev/null 2>&1; then
        venv_say "Install it:  ${root}apt-get install -y $1"
    elif command -v dnf >/dev/null 2>&1; then
        venv_say "Install it:  ${root}dnf install -y $2"
    else
        venv_say "On Debian and Ubuntu:  sudo apt-get install -y $1"
        venv_say "On Fedora and RHEL:    sudo dnf install -y $2"
    fi
}

# Make TREE/.venv, unless a working one is there.
venv_make() {
    if "$1/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    python=$(venv_python) || {
        venv_say 'lonc needs Python 3.11 or newer; none was found (python3, python3.11 to python3.14).'
        venv_advice 'python3 python3-venv' python3.12
        return 1
    }
    if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        venv_say "$python has no venv module (Debian and Ubuntu package it apart)."
        venv_advice "$version-venv" "$version"
        return 1
    fi
    venv_say "Making the virtual environment $1/.venv"
    "$python" -m venv --clear "$1/.venv" >&2 || {
        venv_say "$1/.venv could not be made."
        return 1
    }
}

# Print what setup.cfg asks for, one requirement a line; $2 names an extra.
venv_requirements() {
    "$1/.venv/bin/python" - "$1/setup.cfg" "${2:-}" <<'PYTHON'
import configparser
import sys

parser = configparser.ConfigParser()
parser.read(sys.argv[1], encoding="utf-8")
wanted = parser["options"]["install_requires"]
if sys.argv[2]:
    wanted += "\n" + parser["options.extras_require"][sys.argv[2]]
print("\n".join(line for line in wanted.splitlines() if line.strip()))
PYTHON
}

venv_ready() {
    venv_make "$1" || return 1
    wanted=$(venv_requirements "$1" "${2:-}") || return 1
    stamp=$("$1/.venv/bin/python" --version; printf '%s\n' "$wanted")
    kept="$1/.venv/.installed${2:+-$2}"
    if [ -f "$kept" ] && [ "$(cat "$kept")" = "$stamp" ]; then
        return 0
    fi
    venv_say 'Installing what setup.cfg asks for'
    printf '%s\n' "$wanted" >"$1/.venv/requirements.txt"
    "$1/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1/.venv/requirements.txt" >&2 || {
        venv_say 'pip could not install the dependencies (above); is there a way to a package index?'
        return 1
    }
    printf '%s\n' "$stamp" >"$kept"
}
