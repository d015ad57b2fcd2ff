# shellcheck shell=bash
# grpcurl, which shows that any gRPC client can use the server: the commands of docs/grpcurl.md.

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"

_GRPCURL=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
_GRPCURL_GO_MINOR=21 # what this grpcurl asks for

ensure_grpcurl() { ensure_go_program "$_GRPCURL" "$_GRPCURL_GO_MINOR"; }
