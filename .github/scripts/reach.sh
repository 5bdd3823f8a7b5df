#!/bin/sh
# Logs docker in to the registry, as REGISTRY_USER with REGISTRY_TOKEN. If DOCKER_HOST is ssh://…, it also sets up SSH:
# SSH_KEY is our private key, SSH_KNOWN_HOSTS the machine's public key, as in known_hosts.
set -eu

echo "$REGISTRY_TOKEN" | DOCKER_HOST='' docker login "$REGISTRY" --username "$REGISTRY_USER" --password-stdin
case "${DOCKER_HOST:-}" in ssh://*) ;; *) exit 0 ;; esac
: "${SSH_KEY:?reach: the environment has no secret SSH_KEY}"
: "${SSH_KNOWN_HOSTS:?reach: the environment has no variable SSH_KNOWN_HOSTS}"
umask 077
mkdir -p "$HOME/.ssh"
printf '%s\n' "$SSH_KEY" > "$HOME/.ssh/id_ed25519"
printf '%s\n' "$SSH_KNOWN_HOSTS" >> "$HOME/.ssh/known_hosts"
