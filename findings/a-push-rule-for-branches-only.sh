#!/bin/sh
# git 2.39.5: `receive.denyNonFastForwards` is documented to "deny a ref update which is not a
# fast-forward", but it looks only at refs/heads/. With it, a forced push that rewrites the notes of
# a repository (or any other ref outside of refs/heads/) is taken, while the same push to a branch is
# refused. A server that has to keep its notes or release refs needs an `update` hook.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
git --version

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
branch=$(forced refs/heads/main)
notes=$(forced refs/notes/commits)
echo "a forced push to refs/heads/main: $branch; to refs/notes/commits: $notes"
[ "$branch" = refused ] && [ "$notes" = taken ]
