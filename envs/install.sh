#!/bin/sh
# Installs everything into .venv from the hashed pins beside this file. Safe to repeat: finished work is skipped.
#
#   sh envs/install.sh [cpu|gpu] [--test] [--slurm]      default: gpu where nvidia-smi finds a device, cpu elsewhere
#
# --test adds what the tests need, --slurm what --profile workflow/profiles/slurm needs.
# OTR_PYTHON=/path/to/python3.12 picks the interpreter (3.11, 3.12 or 3.13).
set -eu
cd "$(dirname "$0")/.."

flavour="" ; with_test="" ; with_slurm=""
for argument in "$@"; do
    case "$argument" in
        cpu|gpu) flavour="$argument" ;;
        --test) with_test=yes ;;
        --slurm) with_slurm=yes ;;
        *) echo "envs/install.sh: unknown argument '$argument'; allowed: cpu, gpu, --test, --slurm" >&2; exit 2 ;;
    esac
done
if [ -z "$flavour" ]; then
    if nvidia-smi -L >/dev/null 2>&1; then flavour=gpu; else flavour=cpu; fi
fi

# A system package is installed only when we are root; otherwise the command to type is shown.
need() { # need PACKAGE REASON
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "envs/install.sh: installing the system package $1 ($2)"
        { apt-get install -y --no-install-recommends "$1" || { apt-get update && apt-get install -y --no-install-recommends "$1"; }; } >/dev/null
    else
        echo "envs/install.sh: $2. Remedy: sudo apt-get install $1" >&2
        exit 1
    fi
}

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }
if ! cmp -s envs/uv.txt .venv/.installed-uv.txt; then
    python=""
    for candidate in ${OTR_PYTHON:-} python3 python3.12 python3.11 python3.13; do
        if command -v "$candidate" >/dev/null && supported "$candidate"; then python=$candidate; break; fi
    done
    [ -n "$python" ] || { echo "envs/install.sh: no Python 3.11, 3.12 or 3.13 found. Remedy: install one or set OTR_PYTHON=/path/to/it" >&2; exit 1; }
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip' 2>/dev/null || need "python$version-venv" "Python's venv module is missing"
    echo "envs/install.sh: creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/uv.txt
    cp envs/uv.txt .venv/.installed-uv.txt
fi

install() { # install FILE: skipped when this very file was installed before
    stamp=".venv/.installed-$(basename "$1")"
    if cmp -s "$1" "$stamp"; then return; fi
    echo "envs/install.sh: installing $(grep -c '^[a-zA-Z0-9_.-]*==' "$1") packages from $1 (the first time some GB; a few minutes)"
    # A line a minute instead of one a package.
    (minutes=0; while sleep 60; do minutes=$((minutes + 1)); echo "envs/install.sh: still at it ($minutes min)"; done) &
    clock=$! ; failed=0
    # Compiled bytecode halves vLLM's import time; --no-deps because the file is the whole closure.
    VIRTUAL_ENV=.venv UV_COMPILE_BYTECODE=1 .venv/bin/uv pip install --quiet --no-deps --require-hashes -r "$1" || failed=$?
    kill "$clock" 2>/dev/null || true
    [ "$failed" = 0 ] || { echo "envs/install.sh: $1 is not installed; the reason stands above. The same command goes on where this one ended" >&2; exit "$failed"; }
    cp "$1" "$stamp"
}
install "envs/$flavour.txt"
[ -z "$with_test" ] || install envs/test.txt
[ -z "$with_slurm" ] || install envs/slurm.txt
if ! cmp -s pyproject.toml .venv/.installed-pyproject.toml; then
    VIRTUAL_ENV=.venv .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --offline --editable .
    cp pyproject.toml .venv/.installed-pyproject.toml
fi

if [ "$flavour" = cpu ] && [ "$(uname -s)" = Linux ]; then
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null || need libnuma1 "vLLM on a CPU needs libnuma"
    command -v lscpu >/dev/null || need util-linux "vLLM on a CPU needs lscpu"
fi
echo "envs/install.sh: ready (.venv, $flavour)"
