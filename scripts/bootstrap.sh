#!/bin/sh
# Brings .venv to the locked versions: scripts/bootstrap.sh [extra...]
#
# Extras accumulate: what an earlier call asked for stays. Quick when nothing changed; after an interruption the next
# call starts .venv afresh.
set -eu
cd "$(dirname "$0")/.."
. scripts/uv.sh
root=$(pwd -P)
extras_file=.venv/jaxrl-extras
stamp=.venv/jaxrl-stamp

is_usable() { # a Python that runs, made for this very folder (scripts in a venv hold its path), not half-filled
    .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null &&
        grep -qF "$root/.venv" .venv/bin/activate &&
        [ "$(cat "$stamp" 2>/dev/null)" != unfinished ]
}

make_venv() { # with the wanted Python, else any that fits, else one that uv downloads
    wanted=$(cat .python-version)
    for request in "${UV_PYTHON:-$wanted}" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$wanted"*/bin/python '>=3.12,<3.15'; do
        "$uv" venv --quiet --clear --no-project --no-python-downloads --python "$request" .venv 2>/dev/null && return
    done
    "$uv" venv --quiet --clear --no-project --python "$wanted" .venv || {
        echo "error: no Python >= 3.12 found, and none could be downloaded: install one, or name it in UV_PYTHON" >&2
        exit 1
    }
}

extras=$( (cat "$extras_file" 2>/dev/null || :; for extra in "$@"; do echo "$extra"; done) | sort -u)
locks=requirements.lock
for extra in $extras; do
    [ -f "requirements-$extra.lock" ] || {
        echo "error: no extra $extra: known are" requirements-*.lock >&2
        exit 2
    }
    locks="$locks requirements-$extra.lock"
done
# shellcheck disable=SC2086
key="$locks $(cat $locks pyproject.toml scripts/bootstrap.sh | cksum)"

if is_usable; then
    [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0
    need_venv=no
else
    need_venv=yes
fi
pass_on_pip_settings
echo "installing $locks into .venv" >&2
[ "$need_venv" = no ] || make_venv
echo unfinished >"$stamp"
echo "$extras" >"$extras_file"
# shellcheck disable=SC2086
"$uv" pip sync --quiet --python .venv/bin/python --require-hashes $locks
"$uv" pip install --quiet --python .venv/bin/python --no-deps --editable .
echo "$key" >"$stamp"
