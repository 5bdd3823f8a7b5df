#!/bin/sh
# Brings the services of compose.yaml to an image, once its signature is verified, and waits until they are healthy.
#
#   IMAGE     the image by its digest: ghcr.io/owner/name@sha256:…
#   SIGNER    whose signature it has to bear: the URL of the workflow, as far as it is fixed
#   PROJECTS  what to serve, by name: "credit_risk iris"
#
# Docker works on this machine, or on DOCKER_HOST (ssh://deploy@machine). compose.yaml lists the other variables.
set -eu

case "$IMAGE" in
    *@sha256:*) ;;
    *) echo "deploy: a tag may be moved, so name the image by its digest, not $IMAGE" >&2; exit 1 ;;
esac
: "${SIGNER:?deploy: say whose signature the image has to bear}"

signer=$(printf '%s' "$SIGNER" | sed 's/[.+]/\\&/g')
cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity-regexp "^$signer" "$IMAGE" > /dev/null
cd "$(dirname "$0")"
docker compose --file compose.yaml pull --quiet
docker compose --file compose.yaml up --detach --wait --wait-timeout 180 --remove-orphans
