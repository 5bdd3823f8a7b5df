#!/bin/sh
# Verifies the signature of an image, starts the services of compose.yaml with it, and waits until they are healthy.
#
#   IMAGE     the image by its digest: ghcr.io/owner/name@sha256:…
#   SIGNER    the required signer: the start of the workflow's URL
#   PROJECTS  names of the projects to serve: "credit_risk iris"
#
# Docker runs on this machine, or on DOCKER_HOST (ssh://deploy@machine). compose.yaml lists the other variables.
set -eu

case "$IMAGE" in
    *@sha256:*) ;;
    *) echo "deploy: a tag can be moved, so name the image by its digest, not $IMAGE" >&2; exit 1 ;;
esac
: "${SIGNER:?deploy: name the required signer of the image in SIGNER}"

signer=$(printf '%s' "$SIGNER" | sed 's/[.+]/\\&/g')
cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity-regexp "^$signer" "$IMAGE" > /dev/null
cd "$(dirname "$0")"
docker compose --file compose.yaml pull --quiet
docker compose --file compose.yaml up --detach --wait --wait-timeout 180 --remove-orphans
