# Sourced from the root of the checkout: sets $uv to the locked version of uv, which it installs into .tools/ first.
# Any Python from 3.8 on with pip or venv will do for that; the suite's own Python is scripts/bootstrap.sh's choice.
# shellcheck shell=sh

uv=$PWD/.tools/bin/uv

some_python() {
    for candidate in python3 python /usr/bin/python3 /usr/local/bin/python3; do
        # A pyenv shim stands on PATH even where .python-version asks for a version that is not installed.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python >= 3.8 found on PATH (python3, python): install one to bootstrap with" >&2
    return 1
}

install_uv() {
    echo "installing uv into .tools" >&2
    rm -rf .tools
    python=$(some_python) || exit 1
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv .tools/pip || {
            echo "error: $python has neither pip nor venv (on Debian: apt-get install python3-pip)" >&2
            exit 1
        }
        python=.tools/pip/bin/python
    fi
    # The first two settings would contradict --target; .tools is no system folder that root had better leave alone.
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore \
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --target .tools --requirement requirements-uv.lock
    cp requirements-uv.lock .tools/ # last: it tells a whole installation from an interrupted one
}

pass_on_pip_settings() { # a mirror and a certificate: uv reads its own settings only
    if [ -z "${UV_DEFAULT_INDEX-}${UV_INDEX_URL-}" ]; then
        mirror=${PIP_INDEX_URL-}
        [ -n "$mirror" ] || mirror=$("$(some_python)" -m pip config get global.index-url 2>/dev/null) || mirror=
        [ -z "$mirror" ] || export UV_DEFAULT_INDEX="$mirror"
    fi
    if [ -z "${SSL_CERT_FILE-}" ] && [ -n "${PIP_CERT-}" ]; then
        export SSL_CERT_FILE="$PIP_CERT"
    fi
}

if ! cmp -s requirements-uv.lock .tools/requirements-uv.lock || ! "$uv" --version >/dev/null 2>&1; then
    install_uv
fi
