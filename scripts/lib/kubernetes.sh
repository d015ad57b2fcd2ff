# shellcheck shell=bash
# What the Kubernetes of the tests is made of: its own programs, built from Kubernetes' Go modules,
# and Debian's packages. `python -m tests.kubernetes.cluster` boots it.
#
#   source scripts/lib/kubernetes.sh
#   ensure_cluster_programs    # puts them on the PATH; fails with one sentence where there is no way

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"

_CLUSTER_SOURCES=$PROJECT_ROOT/tests/kubernetes/cluster/programs
_CLUSTER_GO_MINOR=24 # what go.mod asks for
_KUBERNETES_PROGRAMS=(kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl etcd kubelet)

# Installs and builds what is missing, and says nothing where nothing is.
ensure_cluster_programs() {
    local home
    [ "$(id -u)" = 0 ] || { say "The test cluster needs root."; return 1; }
    home=$(_cluster_home)
    _ensure_cluster_packages || return
    export PATH=$home:$PATH
    [ -x "$home/kubelet" ] || with_lock kubernetes _build_cluster_programs "$home"
}

# A program of each package stands for it; programs of root may be off an ordinary PATH.
_ensure_cluster_packages() {
    local pair missing=()
    export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    for pair in runc:runc iptables:iptables ip:iproute2 busybox:busybox-static skopeo:skopeo; do
        have "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
    if [ ${#missing[@]} -gt 0 ]; then
        can_install || { say "The test cluster needs the packages ${missing[*]}."; return 1; }
        quietly "Installing ${missing[*]}" apt_install "${missing[@]}" || return
    fi
    # Not installed, because the installed packages start services.
    ensure_unpacked containerd && ensure_unpacked docker-registry
}

# Names the result after what it is made from, so that a change of these files makes another one.
_cluster_home() {
    printf '%s/kubernetes/%s\n' "$APP_ENGINE_CACHE" \
        "$(cd "$_CLUSTER_SOURCES" && cat go.mod go.sum main.go | sha256sum | cut -c1-16)"
}

_build_cluster_programs() {
    local home=$1 program
    [ -x "$home/kubelet" ] && return
    find_go "$_CLUSTER_GO_MINOR"
    quietly "Building Kubernetes (once; it takes minutes)" _go_build_kubernetes "$home" || return
    # The last link says that all is there.
    for program in "${_KUBERNETES_PROGRAMS[@]}"; do
        ln -sfn kubernetes "$home/$program"
    done
}

# Without the version the programs call themselves v0.0.0, which clients do not understand.
_go_build_kubernetes() {
    local version symbol=k8s.io/component-base/version
    mkdir -p "$1"
    cd "$_CLUSTER_SOURCES" || return
    version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' go.mod)
    [ -n "$version" ] || return
    local numbers=${version#v1.}
    env CGO_ENABLED=0 nice "${GO[@]}" build -trimpath -buildvcs=false -o "$1/kubernetes.part" -ldflags \
        "-s -w -X $symbol.gitVersion=$version -X $symbol.gitMajor=1 -X $symbol.gitMinor=${numbers%%.*}" . &&
        mv "$1/kubernetes.part" "$1/kubernetes"
}
