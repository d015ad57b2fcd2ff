# shellcheck shell=bash
# Python for the project: uv, and the environment .venv with the locked packages.

# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

_UV_HOME=$APP_ENGINE_CACHE/uv

# Makes .venv as uv.lock says, without network when nothing changed. Puts uv on the PATH.
#
# It is a link into the cache, to an environment of this folder alone: the packages of a clone that
# was thrown away serve the next one in its place, with all that Python has compiled.
ensure_python() {
    ensure_uv
    local environment stamp now
    if [ ! -e "$PROJECT_ROOT/.venv" ]; then
        environment=$APP_ENGINE_CACHE/environments/$(sha256sum <<<"$PROJECT_ROOT" | cut -c1-16)
        mkdir -p "$environment"
        ln -sfn "$environment" "$PROJECT_ROOT/.venv"
    fi
    stamp=$PROJECT_ROOT/.venv/.app-engine-stamp
    now=$(_python_state)
    [ -x "$PROJECT_ROOT/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return
    quietly "Installing the Python packages of uv.lock into .venv" \
        uv sync --frozen --quiet --project "$PROJECT_ROOT" ||
        die "uv could not install the packages above: check the network (or UV_INDEX_URL) and try again."
    printf '%s' "$now" >"$stamp"
}

# Finds uv or installs it into the cache.
ensure_uv() {
    export PATH=$_UV_HOME/bin:$PATH
    have uv && uv --version >/dev/null 2>&1 && return
    ensure_python_program
    with_lock uv _install_uv
}

# Says which Python is missing before anything fails for want of it.
ensure_python_program() {
    if ! have python3; then
        can_install || die "Python is missing: install python3 (3.11 or later)."
        quietly "Installing Python" apt_install python3 || die "apt-get could not install python3."
    fi
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die \
        "$(python3 --version) is too old: install Python 3.11 or later, or uv (https://docs.astral.sh/uv/), which brings its own."
}

_install_uv() {
    [ -x "$_UV_HOME/bin/uv" ] && return
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        can_install || die "uv is missing and Python has no venv: as root, apt-get install python3-venv; or install uv."
        quietly "Installing python3-venv" apt_install python3-venv ||
            die "apt-get could not install python3-venv."
    fi
    rm -rf "$_UV_HOME"
    quietly "Installing uv into $_UV_HOME" _pip_install_uv ||
        die "pip could not install uv: check the network, or install uv by hand."
}

_pip_install_uv() {
    python3 -m venv "$_UV_HOME" &&
        "$_UV_HOME/bin/pip" install --quiet --disable-pip-version-check 'uv>=0.9,<1'
}

# All that decides what .venv holds: when it is the same, uv need not be asked.
_python_state() {
    (
        cd "$PROJECT_ROOT" || exit
        find . -name pyproject.toml -not -path './.venv/*' -not -path './clients/typescript/*' -print0 |
            sort -z | xargs -0 sha256sum uv.lock | sha256sum | cut -d' ' -f1
    )
}
