# shellcheck shell=bash
# helm, which installs the chart of deploy/helm.

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"

_HELM_VERSION=v4.3.2
_HELM_HOME=$APP_ENGINE_CACHE/helm/$_HELM_VERSION
_HELM_GO_MINOR=26 # what this helm asks for

# Builds helm into the cache, once, and puts it on the PATH. Its version counts, so that one that is
# installed is not taken.
ensure_helm() {
    export PATH=$_HELM_HOME:$PATH
    [ -x "$_HELM_HOME/helm" ] || with_lock helm _build_helm
}

_build_helm() {
    [ -x "$_HELM_HOME/helm" ] && return
    find_go "$_HELM_GO_MINOR"
    mkdir -p "$_HELM_HOME"
    quietly "Building helm (once; it takes minutes)" env GOBIN="$_HELM_HOME" CGO_ENABLED=0 \
        nice "${GO[@]}" install -trimpath -ldflags "-s -w" "helm.sh/helm/v4/cmd/helm@$_HELM_VERSION"
}
