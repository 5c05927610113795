# SPDX-License-Identifier: Apache-2.0
# What the scripts share; source it, do not run it. Sets ROOT (the top of the tree) and JOBS (cores to
# use), and gives say, warn, die, install_groups, configure and build_targets. No function reads stdin.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JOBS=${JOBS:-$(nproc)}
# Debian's Python, for which scapy and pytest are packaged; another python3 on PATH may lack them.
PYTHON=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1
# Paths relative to the tree and no folder in the hash: a fresh clone finds what another one compiled.
export CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1

say() { printf '== %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# is_installed PACKAGE: true if dpkg has it configured.
is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# packages_of GROUP...: the package names of these groups of packages.txt, one a line, each once.
packages_of() {
    local group
    for group in "$@"; do
        awk -v group="$group" '$1 == group { print $2 }' "$ROOT/scripts/packages.txt"
    done | sort -u
}

# apt_get ARGS...: apt-get that never asks and waits for another apt to finish.
apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root \
        "$@" </dev/null
}

# install_groups GROUP...: installs what is missing of these groups. Touches neither apt nor the network
# if nothing is. Dies with the list of packages if this user may not install them.
install_groups() {
    local package
    local missing=()
    for package in $(packages_of "$@"); do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        die "these Debian packages are missing and only root can install them: ${missing[*]}"
    fi
    say "installing ${#missing[@]} packages: ${missing[*]}"
    apt_get update || warn "apt-get update failed; trying with the lists that are here"
    without_services apt_get install -y --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
}

# without_services COMMAND...: the packages that it installs don't start their services (tests start what they need).
without_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
    return "$status"
}

# configure PRESET [CMAKE-ARG...]: configures build/PRESET.
configure() {
    local preset=$1
    shift
    say "configuring build/$preset"
    (cd "$ROOT" && cmake --preset "$preset" "$@" >"$ROOT/build/$preset.configure.log" 2>&1) || {
        cat "$ROOT/build/$preset.configure.log" >&2
        die "cmake could not configure build/$preset"
    }
}

# build_targets PRESET [TARGET...]: builds build/PRESET, everything if no target is named.
build_targets() {
    local preset=$1
    shift
    local target_args=()
    [ $# -eq 0 ] || target_args=(--target "$@")
    say "building build/$preset with $JOBS jobs"
    cmake --build "$ROOT/build/$preset" -j "$JOBS" "${target_args[@]}" </dev/null
}

# own_sources SUFFIX...: our C++ files with these suffixes, relative to ROOT, one a line.
own_sources() {
    local suffix
    for suffix in "$@"; do
        (cd "$ROOT" && find include iochain datapath controller-agent src tests -type f -name "*$suffix" 2>/dev/null || true)
    done | sort
}

mkdir -p "$ROOT/build"
