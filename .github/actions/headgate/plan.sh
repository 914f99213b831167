#!/usr/bin/env bash
# Says in the job's summary what the commit would run, and which rules it changes. A clone of depth 1
# lacks the base commit: it is fetched, and if that fails the plan is made without it.
set -euo pipefail

known() { git rev-parse --verify --quiet --end-of-options "$1^{commit}"; }

arguments=()
if [ -n "$BASE" ]; then
  if base=$(known "$BASE"); then
    arguments=(--base "$base")
  elif git fetch --quiet --no-tags --depth=1 -- origin "$BASE"; then
    base=$(known FETCH_HEAD)
    arguments=(--base "$base")
  else
    echo "::warning title=Headgate::The base commit is not in this clone and cannot be fetched, so" \
      "the gates are those of the commit itself; set fetch-depth: 0 for actions/checkout."
  fi
fi
echo "base=${base:-}" >> "$GITHUB_OUTPUT"
plan=$(mktemp "$RUNNER_TEMP/headgate-plan-XXXXXX.md")
"$HEADGATE" plan --commit HEAD "${arguments[@]}" --format markdown -- "$FOLDER" > "$plan"
head -c 1000000 "$plan" >> "$GITHUB_STEP_SUMMARY"
# The log shows it too, and obeys none of it: a spec may quote workflow commands.
token=$(cat /proc/sys/kernel/random/uuid)
echo "::stop-commands::$token"
cat "$plan"
echo "::$token::"
