# shellcheck shell=bash
# Stubs of the API, made by plugins whose versions are pinned here.

# shellcheck source=scripts/lib/clients.sh
source "$(dirname "${BASH_SOURCE[0]}")/clients.sh"

# Generated with the oldest grpcio-tools that works: stubs demand at least the runtime that made
# them, so this pin decides which grpcio and protobuf users need.
_PROTOC=(uvx --quiet --from grpcio-tools==1.75.1 --with mypy-protobuf==4.0.0 --with 'setuptools<81'
    python -m grpc_tools.protoc)
_GO_PLUGINS=(
    google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
    google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
)
# This protoc makes Java; its stubs demand at least the same protobuf-java.
_JAVA_PROTOC=com.google.protobuf:protoc:4.33.5
_JAVA_PLUGIN=io.grpc:protoc-gen-grpc-java:1.83.1
_PLUGINS=$APP_ENGINE_CACHE/protoc-plugins
# The agents' service is no clients' concern.
_FOR_CLIENTS=(protos --exclude-path protos/appengine/v1/agent_service.proto)

STUB_FOLDERS=(
    protos/appengine
    clients/go/appenginev1
    clients/java/src/main/java/org/cytomine/appengine/v1
    clients/typescript/src/stubs
)

# Writes the stubs of every language into a folder that is like the project's. Languages whose tools
# cannot be had are left out, which is an error in CI.
make_stubs() {
    _python_stubs "$1"
    local language
    for language in go java typescript; do
        _"$language"_stubs "$1" && continue
        [ -z "${CI:-}" ] || die "the stubs in clients/$language cannot be made: see above."
        say "warning: the stubs in clients/$language are left as they are."
    done
}

# Names the first file that is not the same in a fresh folder, if there is one.
stubs_that_differ() {
    local old new
    old=$(_stubs_in . "$2") new=$(_stubs_in "$1" "$2")
    { diff <(echo "$old") <(echo "$new") || true; } | sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u | sed -n 1p
}

_stubs_in() {
    (cd "$1" && find "$2" -type f -not -name '*.proto' -not -name '*.pyc' -print0 |
        sort -z | xargs -0 sha256sum)
}

replace_stubs() {
    find "$2" -type f -not -name '*.proto' -delete 2>/dev/null || true
    mkdir -p "$2"
    cp -R "$1/$2/." "$2/"
}

_python_stubs() {
    local all services
    mapfile -t all < <(cd protos && find appengine -name '*.proto' | sort)
    mapfile -t services < <(cd protos && find appengine -name '*_service.proto' | sort)
    mkdir -p "$1/protos"
    "${_PROTOC[@]}" -I protos --python_out="$1/protos" --mypy_out="$1/protos" "${all[@]}"
    "${_PROTOC[@]}" -I protos --grpc_python_out="$1/protos" --mypy_grpc_out="$1/protos" "${services[@]}"
    touch "$1/protos/appengine/v1/py.typed"
}

_go_stubs() {
    local plugin
    for plugin in "${_GO_PLUGINS[@]}"; do
        ensure_go_program "$plugin" "$_CLIENT_GO_MINOR" || return
    done
    .venv/bin/buf generate "${_FOR_CLIENTS[@]}" \
        --template protos/buf.gen.go.yaml --output "$1/clients/go"
}

_java_stubs() {
    local bin=$_PLUGINS/java-${_JAVA_PROTOC##*:}-${_JAVA_PLUGIN##*:}
    if [ ! -x "$bin/protoc-gen-grpc-java" ]; then
        ensure_java || return
        mkdir -p "$bin"
        _fetch_program "$_JAVA_PROTOC" "$bin" && _fetch_program "$_JAVA_PLUGIN" "$bin" || return
    fi
    PATH=$bin:$PATH .venv/bin/buf generate "${_FOR_CLIENTS[@]}" \
        --template protos/buf.gen.java.yaml --output "$1/clients/java/src/main/java"
}

# Brings a program for this machine out of Maven's repository. Usage: _fetch_program GROUP:NAME:VERSION FOLDER
_fetch_program() {
    local machine name
    case $(uname -m) in
        x86_64) machine=linux-x86_64 ;;
        aarch64) machine=linux-aarch_64 ;;
        *) say "there is no $1 for $(uname -m)."; return 1 ;;
    esac
    quietly "Fetching $1" maven org.apache.maven.plugins:maven-dependency-plugin:3.10.0:copy \
        -Dartifact="$1:exe:$machine" -DoutputDirectory="$2" || return
    name=${1#*:}
    name=${name%:*}
    mv "$2/$name"-*.exe "$2/$name" && chmod +x "$2/$name"
}

# The packages of clients/typescript, of which one is the plugin.
_typescript_modules() {
    local folder
    folder=$_PLUGINS/typescript-$(sha256sum clients/typescript/package-lock.json | cut -c1-8)
    if [ ! -e "$folder/node_modules/ts-proto" ]; then
        find_node
        mkdir -p "$folder"
        cp clients/typescript/package*.json "$folder/"
        quietly "Fetching ts-proto" "${NPM[@]}" ci --prefix "$folder" --ignore-scripts --no-audit \
            --no-fund || return
    fi
    printf '%s\n' "$folder/node_modules"
}

_typescript_stubs() {
    local bin=$_PLUGINS/typescript modules google stubs=$1/clients/typescript/src/stubs
    modules=$(_typescript_modules) || return
    find_node
    mkdir -p "$bin" "$stubs"
    printf '#!/bin/sh\nexec %s "$@"\n' "$(printf '%q ' "${NODE[@]}" "$modules/ts-proto/protoc-gen-ts_proto")" \
        >"$bin/protoc-gen-ts_proto"
    chmod +x "$bin/protoc-gen-ts_proto"
    google=$(.venv/bin/python -c 'import google.rpc, pathlib
print(pathlib.Path(google.rpc.__path__[0]).parents[1])')
    local services=(appengine/v1/{run,storage,task}_service.proto)
    PATH=$bin:$PATH "${_PROTOC[@]}" -I protos -I "$google" --ts_proto_out="$stubs" \
        --ts_proto_opt=esModuleInterop=true,importSuffix=.js,env=node,forceLong=bigint \
        --ts_proto_opt=oneof=unions-value,outputServices=grpc-js,outputJsonMethods=false \
        --ts_proto_opt=outputPartialMethods=false \
        "${services[@]}" google/rpc/status.proto google/rpc/error_details.proto
}
