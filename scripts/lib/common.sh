# shellcheck shell=bash
# What every script here starts from: where things lie, what is said, what may be installed.

# Nothing is cached inside the checkout, so that a fresh clone starts from what an earlier one made.
APP_ENGINE_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/app-engine
PROJECT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }

# Ends the script with one sentence that says what is missing and what mends it.
die() {
    say "error: $*"
    exit 1
}

# Prints the comment at the top of the script that is run: what it does and takes.
show_help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$PROJECT_ROOT/scripts/${0##*/}"; }

# Ends the script with a sentence about its arguments, and with what it takes.
wrong_usage() {
    say "error: $*"
    say ""
    show_help >&2
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a step quietly; its output is shown only when it fails. Usage: quietly "What is done" command…
quietly() {
    local _what=$1 _started=$SECONDS _log _rc=0
    shift
    say "… $_what"
    _log=$(mktemp)
    "$@" </dev/null >"$_log" 2>&1 || _rc=$?
    if [ "$_rc" -ne 0 ]; then
        tail -n 40 "$_log" >&2
        rm -f "$_log"
        say "failed after $((SECONDS - _started)) s: $_what"
        return "$_rc"
    fi
    rm -f "$_log"
    [ $((SECONDS - _started)) -lt 5 ] || say "  ($((SECONDS - _started)) s)"
}

can_install() { [ "$(id -u)" = 0 ] && have apt-get; }

# Installs Debian or Ubuntu packages; only as root, so ask can_install first.
apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" install -y --no-install-recommends "$@" && return
    # The lists may be missing, as in a bare system, or name versions that are gone by now.
    "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"
}

# Finds the program of a package of the same name, or takes the package's files into the cache: to
# install it would start a service of it.
ensure_unpacked() {
    export PATH=$PATH:$APP_ENGINE_CACHE/programs/usr/bin
    have "$1" && return
    have apt-get || { say "$1 is missing: install it."; return 1; }
    quietly "Fetching $1" with_lock unpack _unpack_package "$1"
}

_unpack_package() {
    local folder result=0
    folder=$(mktemp -d)
    (_download_package "$folder" "$1") &&
        dpkg-deb -x "$folder"/*.deb "$APP_ENGINE_CACHE/programs" || result=$?
    rm -rf "$folder"
    return "$result"
}

_download_package() {
    cd "$1" && { apt-get download -qq "$2" ||
        { can_install && apt-get update -qq && apt-get download -qq "$2"; }; }
}

# Runs a command under a lock, so that two scripts do not make the same thing at once.
# NB: what it runs sees its local variables, hence the underscore.
with_lock() {
    local _lock=$1
    shift
    mkdir -p "$APP_ENGINE_CACHE/locks"
    (
        flock 9
        "$@" 9>&-
    ) 9>"$APP_ENGINE_CACHE/locks/$_lock"
}
