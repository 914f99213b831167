#!/usr/bin/env bash
# `git push --atomic --force-with-lease=REF:SHA` does not hold the server to a REF that the push leaves where it is.
#
# It looks like a way to make one push depend on another ref: "move the branch, provided that REF is still
# at SHA". But for a ref that is at SHA already the client sends no command. It compares REF with what the
# server advertised as the push began, and the server never hears of the condition: REF may move between
# the two, and the atomic push succeeds. Only a ref that moves, to a new commit, is compared under the lock.
#
# Seen with git 2.39.5. Fails if any of this changes. Needs Debian 12, whose package it takes into its folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
(cd "$folder" && apt-get download -q git=1:2.39.5-0+deb12u3 && dpkg -x git_*.deb "$folder/git")
export PATH="$folder/git/usr/bin:$PATH" GIT_EXEC_PATH="$folder/git/usr/lib/git-core" GIT_TEMPLATE_DIR=
git --version | tee "$folder/version"
grep -qx 'git version 2.39.5' "$folder/version"
git init -q --bare "$folder/remote.git"
git init -q "$folder/work"
cd "$folder/work"
commit() { git commit-tree -m "$1" "$(git write-tree)"; }
lease=$(commit lease) other=$(commit other) first=$(commit first) second=$(commit second)
git remote add origin "$folder/remote.git"
git push -q origin "$lease:refs/x/lease" "$first:refs/heads/main" "$other:refs/x/other"

# Somebody else takes the lease while the push is under way: after the advertisement, before the update.
mkdir -p "$folder/remote.git/hooks"
cat > "$folder/remote.git/hooks/pre-receive" <<HOOK
#!/bin/sh
cat > "$folder/commands"
unset GIT_QUARANTINE_PATH
git update-ref refs/x/lease $other
HOOK
chmod +x "$folder/remote.git/hooks/pre-receive"

# `set -e` passes over a test that fails within `&&` or after `!`.
assert() { "$@" || { echo "this has changed: $*" >&2; exit 1; }; }
assert_not() { if "$@"; then echo "this has changed: not $*" >&2; exit 1; fi; }
where() { git -C "$folder/remote.git" rev-parse "$1"; }
git push -q --atomic --force-with-lease="refs/x/lease:$lease" --force-with-lease="refs/heads/main:$first" \
  origin "$lease:refs/x/lease" "$second:refs/heads/main"
echo "an unmoved lease: the push succeeded, with the commands:"
cat "$folder/commands"
assert [ "$(where refs/x/lease)" = "$other" ]
assert [ "$(where refs/heads/main)" = "$second" ]
assert_not grep -q refs/x/lease "$folder/commands"

git -C "$folder/remote.git" update-ref refs/x/lease "$lease"
mine=$(commit mine)
if git push -q --atomic --force-with-lease="refs/x/lease:$lease" --force-with-lease="refs/heads/main:$second" \
  origin "$mine:refs/x/lease" "$first:refs/heads/main" 2> "$folder/said"; then
  echo "a lease that moves is not compared either" && exit 1
fi
echo "a lease that moves: the push was refused:"
assert grep 'refs/x/lease' "$folder/said"
assert [ "$(where refs/heads/main)" = "$second" ]
