#!/usr/bin/env bash
# A server's rule against forced pushes holds for branches only, not for notes.
#
# `receive.denyNonFastForwards` of git 2.39.5 is documented to deny an update of a ref that is no fast
# forward, but it looks only at refs/heads/. A forced push that rewrites the notes of a repository, or
# any other ref outside of refs/heads/, is taken, while the same push to a branch is refused. So a
# server that has to keep its notes or release refs needs an `update` hook.
#
# Fails if any of this changes. Needs Debian 12 and its package index; git is unpacked, not installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .
apt-get download -q -q git=1:2.39.5-0+deb12u3
dpkg-deb -x git_*.deb unpacked
export PATH="$folder/unpacked/usr/bin:$PATH" GIT_EXEC_PATH="$folder/unpacked/usr/lib/git-core"
export GIT_TEMPLATE_DIR="$folder/unpacked/usr/share/git-core/templates"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
version=$(git --version)
echo "$version"

git init -q --bare server.git
git -C server.git config receive.denyNonFastForwards true
git init -q -b main clone
cd clone
git remote add origin ../server.git
git commit -q --allow-empty -m "Begin"
git notes add -m "a note" HEAD
git push -q origin main refs/notes/commits

other=$(git commit-tree "$(git rev-parse 'HEAD^{tree}')" -m "Another history" </dev/null)
forced() {
    if git push -q --force origin "$other:$1" 2>/dev/null; then echo taken; else echo refused; fi
}
seen="to refs/heads/main: $(forced refs/heads/main); to refs/notes/commits: $(forced refs/notes/commits)"
echo "a forced push $seen"
[ "$version" = "git version 2.39.5" ] || { echo "another version than pinned" >&2; exit 1; }
[ "$seen" = "to refs/heads/main: refused; to refs/notes/commits: taken" ] || {
    echo "the behaviour has changed" >&2
    exit 1
}
