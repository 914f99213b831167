#!/usr/bin/env bash
# Installs this checkout of Headgate into a venv of its own, all of it checked by the lock's hashes,
# and prints the command. Packages are kept in uv's cache, so that a runner installs them once.
set -euo pipefail
python=$1
root=$(cd "$(dirname "$0")/../../.." && pwd)
venv=$RUNNER_TEMP/headgate/venv
export UV_CACHE_DIR=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/headgate-uv
if [ ! -e "$venv/.ready" ]; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "::error title=Headgate::Python 3.11 or later is needed; use actions/setup-python, or the input python."
    exit 1
  } >&2
  "$python" -m venv "$venv" >&2
  sed -n '/^uv==/,/^ *# via/p' "$root/requirements.lock" > "$venv/uv.txt"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$venv/uv.txt" >&2
  "$venv/bin/uv" pip sync -q --python "$venv/bin/python" --require-hashes "$root/requirements.lock" >&2
  "$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation "$root" >&2
  touch "$venv/.ready"
fi
echo "$venv/bin/headgate"
