# shellcheck shell=bash
# A container engine: one that runs already, or podman with a store and a socket of its own.
#
#   source scripts/lib/engine.sh
#   ensure_engine      # exports DOCKER_HOST=unix://…; ends the script when there is no way
#   trap stop_engine EXIT

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

_ENGINE_HOME=$APP_ENGINE_CACHE/engine
_ENGINE_PID=
_ENGINE_FOLDER=

# Exports DOCKER_HOST. Whoever calls it calls stop_engine in the end.
ensure_engine() {
    local socket
    if socket=$(find_engine_socket); then
        export DOCKER_HOST=unix://$socket
        return
    fi
    ensure_podman
    _start_podman_service
}

# Prints the path of the first socket behind which an engine answers.
find_engine_socket() {
    local candidate
    for candidate in "${DOCKER_HOST:-}" /var/run/docker.sock /run/podman/podman.sock \
        "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock" \
        "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/podman/podman.sock"; do
        candidate=${candidate#unix://}
        if [ -S "$candidate" ] && _engine_answers "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    return 1
}

# Ends the service that ensure_engine started, and nothing else. Containers that still run go on.
stop_engine() {
    [ -n "$_ENGINE_PID" ] || return 0
    kill "$_ENGINE_PID" 2>/dev/null || true
    wait "$_ENGINE_PID" 2>/dev/null || true
    rm -rf "$_ENGINE_FOLDER"
    _ENGINE_PID=
    unset DOCKER_HOST
}

# Makes podman work: installs it if it may, and finds the settings under which a container starts.
ensure_podman() {
    if ! have podman; then
        can_install || die "No container engine answers and podman is missing: start Docker, or install podman (apt-get install podman)."
        quietly "Installing podman" apt_install podman runc buildah busybox-static ca-certificates ||
            die "apt-get could not install podman: see the lines above."
    fi
    mkdir -p "$_ENGINE_HOME/fs"
    with_lock engine _find_podman_settings || die "podman cannot start a container here: $(_trial_error)"
}

# podman as this project uses it: its own store, so that images and containers of the user's own
# podman are neither seen nor touched.
own_podman() {
    local run
    run=$(_engine_run_folder)
    CONTAINERS_CONF=$_ENGINE_HOME/containers.conf podman --root "$_ENGINE_HOME/store" \
        --runroot "$run/store" --tmpdir "$run/libpod" "$@"
}

# What podman keeps here must vanish when the machine starts again, or it takes containers for alive.
_engine_run_folder() {
    local base=/run
    [ "$(id -u)" = 0 ] || base=${XDG_RUNTIME_DIR:-/tmp/app-engine-$(id -u)}
    mkdir -p -m 0700 "$base/app-engine"
    printf '%s\n' "$base/app-engine"
}

_engine_answers() {
    [ "$(curl --silent --max-time 3 --unix-socket "$1" http://engine/_ping)" = OK ]
}

# Folders of services whose script is gone: one that became its command cannot remove its own.
_remove_dead_services() {
    local folder
    for folder in "$(_engine_run_folder)"/service.*; do
        [ ! -d "$folder" ] || kill -0 "${folder##*.}" 2>/dev/null || rm -rf "$folder"
    done
}

_start_podman_service() {
    _remove_dead_services
    _ENGINE_FOLDER=$(_engine_run_folder)/service.$$
    mkdir -p "$_ENGINE_FOLDER"
    local socket=$_ENGINE_FOLDER/podman.sock tries
    # A session of its own: Ctrl-C in the terminal is for the script, which then stops the service.
    # A script that is killed cannot stop it, so the kernel does. It works in a folder of its own,
    # where the monitors of its containers leave small files.
    CONTAINERS_CONF=$_ENGINE_HOME/containers.conf env --chdir="$_ENGINE_FOLDER" \
        setsid setpriv --pdeathsig TERM podman --root "$_ENGINE_HOME/store" \
        --runroot "$(_engine_run_folder)/store" --tmpdir "$(_engine_run_folder)/libpod" \
        system service --time=0 "unix://$socket" </dev/null >"$_ENGINE_FOLDER/log" 2>&1 &
    _ENGINE_PID=$!
    for ((tries = 0; tries < 200; tries++)); do
        if [ -S "$socket" ] && _engine_answers "$socket"; then
            export DOCKER_HOST=unix://$socket
            return
        fi
        kill -0 "$_ENGINE_PID" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 5 "$_ENGINE_FOLDER/log" >&2
    die "podman's service did not start: see the lines above."
}

# Writes the first containers.conf under which a trial container starts. What was found holds as
# long as podman and the kernel are the same.
_find_podman_settings() {
    local state settings
    state=$(podman --version; uname -r; grep -c cgroup /proc/mounts)
    [ "$(cat "$_ENGINE_HOME/state" 2>/dev/null)" = "$state" ] && return
    if ! _trial_files; then
        say "warning: no static busybox was found, so that podman goes untried."
        _settings_default >"$_ENGINE_HOME/containers.conf"
        return
    fi
    for settings in _settings_default _settings_runc; do
        "$settings" >"$_ENGINE_HOME/containers.conf"
        if _trial; then
            printf '%s' "$state" >"$_ENGINE_HOME/state"
            return
        fi
        [ "$settings" != _settings_default ] || have runc || ! can_install ||
            quietly "Installing runc" apt_install runc
    done
    return 1
}

# File locks, because the locks in shared memory belong to the user's own podman: another store on
# the same locks frees what it does not own.
_settings_default() {
    printf '[engine]\nlock_type = "file"\nevents_logger = "file"\n'
}

# crun refuses cgroup v1 and v2 side by side, and without CAP_SYS_RESOURCE nobody can raise limits.
_settings_runc() {
    printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    _settings_default
    printf 'runtime = "runc"\ncgroup_manager = "cgroupfs"\n'
}

_trial() {
    own_podman run --rm --network none --memory 64m --rootfs "$_ENGINE_HOME/fs" /bin/busybox true \
        </dev/null >/dev/null 2>"$_ENGINE_HOME/trial.log"
}

_trial_error() { tail -n 1 "$_ENGINE_HOME/trial.log" 2>/dev/null; }

# A root file system of one static program: a trial needs no image, hence no registry.
_trial_files() {
    local busybox
    have busybox || ! can_install || quietly "Installing busybox" apt_install busybox-static || return 1
    busybox=$(command -v busybox) || return 1
    mkdir -p "$_ENGINE_HOME/fs"/{bin,dev,etc,proc,run,sys,tmp}
    cp -L "$busybox" "$_ENGINE_HOME/fs/bin/busybox"
}
