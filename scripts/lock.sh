#!/bin/sh
# Compiles every requirements*.lock from pyproject.toml: scripts/lock.sh [--upgrade]
#
# requirements.lock is the base; each requirements-EXTRA.lock is the base and that extra, whole. Every lock is
# constrained by all earlier ones, so that any of them can be installed together.
set -eu
cd "$(dirname "$0")/.."
. scripts/uv.sh
pass_on_pip_settings

constraints=
compile() { # lock, arguments of uv
    lock=$1
    shift
    echo "compiling $lock" >&2
    # shellcheck disable=SC2086
    "$uv" pip compile --quiet --universal --python-version "$(cat .python-version)" --generate-hashes --no-annotate \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $constraints "$@" \
        --output-file "$lock"
}

compile requirements-uv.lock "$@" --group bootstrap
compile requirements.lock "$@" pyproject.toml
constraints="-c requirements.lock"
extras=$(awk '/^\[/ { inside = $0 == "[project.optional-dependencies]" } inside && / = \[/ { print $1 }' pyproject.toml)
for extra in $extras; do
    compile "requirements-$extra.lock" "$@" --extra "$extra" pyproject.toml
    constraints="$constraints -c requirements-$extra.lock"
done

if grep -nE '://|/simple|\.whl|^-' requirements*.lock; then
    echo "error: a lock names an address or a file" >&2
    exit 1
fi
if grep -nE '^(nvidia|jax-cuda)' requirements.lock; then
    echo "error: the base lock must not install CUDA" >&2
    exit 1
fi
