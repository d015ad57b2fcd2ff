# shellcheck shell=bash
# Container images from a Dockerfile, by Docker, podman or buildah, whichever works here.
#
#   source scripts/lib/images.sh
#   build_image FOLDER ARCHIVE NAME [TARGET]      # writes ARCHIVE as `docker save` does
#   ensure_base_image                             # that of the examples, where no registry answers

# shellcheck source=scripts/lib/engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"

_BASE_IMAGE=docker.io/library/debian:bookworm-slim

# Builds FOLDER/Dockerfile (or one TARGET of it) and saves the image under NAME into ARCHIVE.
build_image() {
    _choose_builder
    # One at a time: podman loses layers that two builds make at once.
    with_lock images _build_and_save "$@"
}

_build_and_save() {
    local folder=$1 archive=$2 name=$3 target=${4:-}
    grep -qE '^FROM +(docker.io/(library/)?)?debian:bookworm-slim' "$folder/Dockerfile" && ensure_base_image
    quietly "Building the image $name with $BUILDER" _"${BUILDER}"_build "$folder" "$name" "$target" ||
        die "the image of $folder could not be built: see the lines above."
    rm -f "$archive"
    quietly "Saving the image $name" _"${BUILDER}"_save "$name" "$archive" ||
        die "the image $name could not be saved: see the lines above."
}

# Sets BUILDER to docker, podman or buildah.
_choose_builder() {
    [ -z "${BUILDER:-}" ] || return 0
    if have docker && _docker_answers; then
        BUILDER=docker
    elif have podman || can_install; then
        ensure_podman
        BUILDER=podman
    elif have buildah; then
        BUILDER=buildah
    else
        die "There is nothing to build images with: install Docker, podman or buildah."
    fi
}

# `docker` may be a client without an engine, and the engine behind the socket may be podman.
_docker_answers() {
    local socket
    socket=$(find_engine_socket) && DOCKER_HOST=unix://$socket docker version >/dev/null 2>&1 &&
        ! curl --silent --max-time 3 --unix-socket "$socket" http://engine/version | grep -q Podman
}

_docker_build() { docker build --tag "$2" ${3:+--target "$3"} "$1"; }
_docker_save() { docker save --output "$2" "$1"; }
_docker_has() { docker image inspect "$1"; }
_docker_import() { docker import --change 'CMD ["bash"]' "$1" "$2"; }

_podman_build() {
    local options before
    mapfile -t options < <(_build_options)
    before=$(own_podman image inspect --format '{{.Id}}' "$2" 2>/dev/null) || true
    local build=(own_podman build --format docker "${options[@]}" --tag "$2" ${3:+--target "$3"} "$1")
    # Again, because podman gives up where an image of others vanishes while it looks for layers that
    # it has. What was built already is not built again.
    "${build[@]}" || "${build[@]}" || return
    # Or each build would leave one more image behind. One that is in use stays.
    [ -z "$before" ] || [ "$before" = "$(own_podman image inspect --format '{{.Id}}' "$2")" ] ||
        own_podman rmi "$before" || true
}
_podman_save() { own_podman save --format docker-archive --output "$2" "$1"; }
_podman_has() { own_podman image exists "$1"; }
_podman_import() { own_podman import --change 'CMD ["bash"]' "$1" "$2"; }

_buildah() { buildah --root "$_ENGINE_HOME/store" --runroot "$(_engine_run_folder)/store" "$@"; }
_buildah_build() {
    local options
    mapfile -t options < <(_build_options)
    _buildah bud --layers "${options[@]}" --tag "$2" ${3:+--target "$3"} "$1"
}
_buildah_save() { _buildah push "$1" "docker-archive:$2:$1"; }
_buildah_has() { _buildah inspect --type image "$1"; }
_buildah_import() {
    local container
    container=$(_buildah from scratch) && _buildah add "$container" "$1" / &&
        _buildah config --cmd bash "$container" && _buildah commit --rm "$container" "$2"
}

# A build needs no sandbox of its own and no network but the machine's. Certificates that were added
# to this machine are lent to it, or downloads would fail where the network has its own. They are a
# copy, because the package ca-certificates writes into that folder when a build installs it.
_build_options() {
    printf '%s\n' --isolation chroot --network host
    compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null || return 0
    local copy=$APP_ENGINE_CACHE/images/certs
    rm -rf "$copy" && mkdir -p "$copy" && cp -rL /etc/ssl/certs/. "$copy/"
    printf '%s\n' --volume "$copy:/etc/ssl/certs" \
        --volume /usr/local/share/ca-certificates:/usr/local/share/ca-certificates:ro
}

# Where no registry answers, the base image is made from Debian's packages instead of pulled.
ensure_base_image() {
    _choose_builder
    _"${BUILDER}"_has "$_BASE_IMAGE" >/dev/null 2>&1 && return
    curl --silent --max-time 5 --output /dev/null https://registry-1.docker.io/v2/ && return
    with_lock base-image _make_base_image
}

_make_base_image() {
    local archive=$APP_ENGINE_CACHE/images/debian-bookworm-slim.tar
    _"${BUILDER}"_has "$_BASE_IMAGE" >/dev/null 2>&1 && return
    if [ ! -s "$archive" ]; then
        have mmdebstrap || ! can_install || quietly "Installing mmdebstrap" \
            apt_install mmdebstrap debian-archive-keyring
        have mmdebstrap || die "No image registry can be reached: connect to one, or install mmdebstrap to make the base image."
        mkdir -p "$(dirname "$archive")"
        quietly "Making the base image, since no image registry can be reached" \
            _debootstrap "$archive.part" || die "mmdebstrap could not make the base image: see the lines above."
        mv "$archive.part" "$archive"
    fi
    quietly "Importing the base image" _"${BUILDER}"_import "$archive" "$_BASE_IMAGE" ||
        die "the base image could not be imported: see the lines above."
}

# What the official image leaves out is left out here too, and apt is told not to keep packages.
_debootstrap() {
    local nothing_kept='DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin"; };'
    mmdebstrap --quiet --variant=minbase --format=tar --include=ca-certificates \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --customize-hook="echo '$nothing_kept' >\"\$1\"/etc/apt/apt.conf.d/docker-clean" \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
        bookworm - >"$1"
}
