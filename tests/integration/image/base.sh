#!/bin/sh
# A Debian with Python, from Debian's own packages: what an image of Headgate can be built on where no
# registry is in reach. Made once, in five minutes, by root; kept as an archive.
set -eu
kept=${XDG_CACHE_HOME:-$HOME/.cache}/headgate-tests/debian-python-1.tar
[ ! -e "$kept" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "no base for the image: root makes it with debootstrap (apt install debootstrap)" >&2
  exit 0
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv bookworm "$made" >"$made.log" 2>&1 ||
  { tail -5 "$made.log" >&2; exit 1; }
rm -rf "$made.log" "$made"/var/cache/apt/* "$made"/var/lib/apt/lists/* \
  "$made"/usr/share/doc/* "$made"/usr/share/man/* "$made"/usr/share/locale/*
# An index may have a certificate that only this machine knows.
cp -L /etc/ssl/certs/ca-certificates.crt "$made/etc/ssl/certs/"
mkdir -p "$(dirname "$kept")"
tar -C "$made" -cf "$kept.part" .
mv "$kept.part" "$kept"
chmod 644 "$kept"
