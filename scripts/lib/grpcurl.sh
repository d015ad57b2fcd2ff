# shellcheck shell=bash
# grpcurl, which shows that any gRPC client can use the server: the commands of docs/grpcurl.md.

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"

_GRPCURL_VERSION=v1.9.3
_GRPCURL_HOME=$APP_ENGINE_CACHE/grpcurl/$_GRPCURL_VERSION
_GRPCURL_GO_MINOR=21 # what this grpcurl asks for

# Builds grpcurl into the cache, once, and puts it on the PATH.
ensure_grpcurl() {
    export PATH=$_GRPCURL_HOME:$PATH
    [ -x "$_GRPCURL_HOME/grpcurl" ] || with_lock grpcurl _build_grpcurl
}

_build_grpcurl() {
    [ -x "$_GRPCURL_HOME/grpcurl" ] && return
    find_go "$_GRPCURL_GO_MINOR"
    mkdir -p "$_GRPCURL_HOME"
    quietly "Building grpcurl" env GOBIN="$_GRPCURL_HOME" CGO_ENABLED=0 "${GO[@]}" install \
        "github.com/fullstorydev/grpcurl/cmd/grpcurl@$_GRPCURL_VERSION"
}
