# shellcheck shell=bash
# A Kubernetes for the demo: the tests' own, booted in seconds, or the one of KUBECONFIG.
#
#   source scripts/lib/cluster.sh
#   start_cluster              # exports KUBECONFIG, CLUSTER_REGISTRY and CLUSTER_SERVER_ADDRESS
#   trap stop_cluster EXIT
#   publish_agent_image        # prints the name under which the nodes pull the transfer agent
#   prepare_namespace NAME     # makes it, with the strictest pod security standard

# shellcheck source=scripts/lib/kubernetes.sh
source "$(dirname "${BASH_SOURCE[0]}")/kubernetes.sh"
# shellcheck source=scripts/lib/images.sh
source "$(dirname "${BASH_SOURCE[0]}")/images.sh"

_CLUSTER_PID=
_CLUSTER_SAID=

start_cluster() {
    if [ -n "${KUBECONFIG:-}" ]; then
        [ -n "${CLUSTER_REGISTRY:-}" ] && [ -n "${CLUSTER_SERVER_ADDRESS:-}" ] ||
            die "With KUBECONFIG set, set CLUSTER_REGISTRY (host:port that this machine and the nodes reach by http) and CLUSTER_SERVER_ADDRESS (an address of this machine that pods reach) too."
        return
    fi
    [ "$(id -u)" = 0 ] || die "Booting a Kubernetes here needs root: become root, or set KUBECONFIG to a cluster that runs."
    ensure_cluster_programs || die "The Kubernetes of the tests cannot be set up: see the lines above."
    say "Booting a Kubernetes of two nodes."
    _CLUSTER_SAID=$(mktemp)
    (cd "$PROJECT_ROOT" && exec .venv/bin/python -m tests.kubernetes.cluster up) \
        </dev/null >"$_CLUSTER_SAID" 2>"$_CLUSTER_SAID.log" &
    _CLUSTER_PID=$!
    until grep -q '^# booted' "$_CLUSTER_SAID"; do
        kill -0 "$_CLUSTER_PID" 2>/dev/null || { cat "$_CLUSTER_SAID.log" >&2; die "The cluster did not boot: see the lines above."; }
        sleep 0.1
    done
    # shellcheck disable=SC1090
    source "$_CLUSTER_SAID"
}

stop_cluster() {
    [ -n "$_CLUSTER_PID" ] || return 0
    kill "$_CLUSTER_PID" 2>/dev/null || true
    wait "$_CLUSTER_PID" 2>/dev/null || true
    rm -f "$_CLUSTER_SAID" "$_CLUSTER_SAID.log"
    _CLUSTER_PID=
}

publish_agent_image() {
    local archive name=$CLUSTER_REGISTRY/appengine/transfer-agent:demo
    archive=$(mktemp -u "${TMPDIR:-/tmp}/agent.XXXXXX.tar")
    build_image "$PROJECT_ROOT" "$archive" localhost/app-engine/transfer-agent:demo transfer-agent >&2
    quietly "Pushing the transfer agent's image" skopeo --insecure-policy copy --quiet \
        --dest-tls-verify=false "docker-archive:$archive" "docker://$name" || return
    rm -f "$archive"
    printf '%s\n' "$name"
}

prepare_namespace() {
    kubectl get namespace "$1" >/dev/null 2>&1 || kubectl create namespace "$1" >/dev/null
    kubectl label --overwrite namespace "$1" pod-security.kubernetes.io/enforce=restricted >/dev/null
}
