# shellcheck shell=bash
# The clients in Go, Java and TypeScript, built in the cache: once for each state of their folder.
#
#   source scripts/lib/clients.sh
#   build_client go        # prints the folder in which it was built

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"
# shellcheck source=scripts/lib/java.sh
source "$(dirname "${BASH_SOURCE[0]}")/java.sh"
# shellcheck source=scripts/lib/node.sh
source "$(dirname "${BASH_SOURCE[0]}")/node.sh"

_CLIENTS_HOME=$APP_ENGINE_CACHE/clients
_CLIENT_GO_MINOR=26 # what this grpc-go asks for
_KEPT_DAYS=7

# Builds clients/NAME with its example and what the tests drive it by, and prints the folder.
build_client() {
    local state folder
    state=$(cd "$PROJECT_ROOT/clients/$1" && _client_files | xargs -0 sha256sum | sha256sum | cut -c1-16)
    folder=$_CLIENTS_HOME/$1-$state
    with_lock "client-$1" _build_once "$1" "$folder" >&2 || return
    printf '%s\n' "$folder"
}

# The files of a client, without what people built beside them.
_client_files() {
    find . \( -name node_modules -o -name dist -o -name target -o -path ./bin \) -prune -o -type f -print0 |
        sort -z
}

_build_once() {
    local name=$1 folder=$2
    if [ ! -e "$folder/.built" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        (cd "$PROJECT_ROOT/clients/$name" && _client_files | tar --create --null --files-from=-) |
            tar --extract --directory "$folder"
        quietly "Building the client in clients/$name" _build_"$name"_in "$folder" || return
    fi
    touch "$folder/.built"
    find "$_CLIENTS_HOME" -mindepth 2 -maxdepth 2 -name .built -mtime +$_KEPT_DAYS -printf '%h\0' |
        xargs -0 --no-run-if-empty rm -rf
}

_build_go_in() {
    find_go "$_CLIENT_GO_MINOR"
    cd "$1" && "${GO[@]}" vet ./... &&
        CGO_ENABLED=0 "${GO[@]}" build -o bin/ ./internal/driver ./examples/measure
}

_build_java_in() {
    ensure_java && maven --file "$1/pom.xml" test-compile
}

_build_typescript_in() {
    find_node
    cd "$1" && "${NPM[@]}" ci --ignore-scripts --no-audit --no-fund &&
        "${NODE[@]}" node_modules/typescript/bin/tsc
}
