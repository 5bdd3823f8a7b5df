#!/bin/sh
# Builds the server's image and pushes it to a registry. The output `image` is its name and digest.
# REGISTRY, REPOSITORY, REVISION: parts of its name. REGISTRY_USER, REGISTRY_TOKEN: the login. Needs a docker engine.
set -eu

name="$REGISTRY/$(echo "$REPOSITORY" | tr '[:upper:]' '[:lower:]')"
tag="$name:$REVISION"

echo "$REGISTRY_TOKEN" | docker login "$REGISTRY" --username "$REGISTRY_USER" --password-stdin
docker build --target server --build-arg EXTRAS=postgres,redis \
    --label "org.opencontainers.image.revision=$REVISION" --tag "$tag" .
docker push --quiet "$tag"
image=$(docker image inspect --format '{{index .RepoDigests 0}}' "$tag")
case "$image" in
    "$name"@sha256:*) ;;
    *) echo "build_image: the registry returned no digest of $tag, but: $image" >&2; exit 1 ;;
esac
echo "image=$image" >> "$GITHUB_OUTPUT"
