#!/bin/sh
# Refuses an image with known vulnerabilities that are serious and have a fix. IMAGE: by digest. Needs a docker engine.
set -eu

docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock:ro "ghcr.io/aquasecurity/trivy:0.70.0" \
    image --exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed --no-progress "$IMAGE"
