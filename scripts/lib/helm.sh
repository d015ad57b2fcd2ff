# shellcheck shell=bash
# helm, which installs the chart of deploy/helm.

# shellcheck source=scripts/lib/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/go.sh"

_HELM=helm.sh/helm/v4/cmd/helm@v4.3.2
_HELM_GO_MINOR=26 # what this helm asks for

ensure_helm() { ensure_go_program "$_HELM" "$_HELM_GO_MINOR"; }
