#!/bin/sh
# Builds the programs of a real Kubernetes of version $2, named $3 and on, into the folder $1, once.
#
# No package has them: they are built from Debian's source package with Debian's Go, which takes
# about ten minutes and 3 GB below TMPDIR, and are kept and checked by their digests. What cannot be
# had is said; the tests that need it are skipped, and counted.
set -u
folder=$1 version=$2
shift 2

give_up() {
  echo "!! No Kubernetes $version: $1. The tests that need it will be skipped." >&2
  exit 0
}

installed() { # the packages that tests and build need
  { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; } || return
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2
}

needed=
for each in dockerd:docker.io etcd:etcd-server ip:iproute2 iptables:iptables \
  conntrack:conntrack busybox:busybox-static unshare:util-linux; do
  command -v "${each%%:*}" >/dev/null || needed="$needed ${each##*:}"
done
if [ -n "$needed" ]; then
  apt-get update -q >&2
  # shellcheck disable=SC2086  # these are several words
  installed $needed || give_up "only root on Debian can install$needed"
fi

mkdir -p "$folder" || give_up "$folder cannot be made"
exec 9>"$folder.lock"
flock 9 # another run may be building them
whole() {
  for program in "$@"; do [ -x "$folder/$program" ] || return; done
  (cd "$folder" && sha256sum --quiet --check SHA256SUMS) >&2
}
[ -e "$folder/SHA256SUMS" ] && whole "$@" && exit 0
rm -f "$folder/SHA256SUMS" # without which nobody uses the others

started=$(date +%s)
scratch=$(mktemp -d) || give_up "there is no room below ${TMPDIR:-/tmp}"
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
apt-get update -q >&2
installed golang-go golang-github-modern-go-reflect2-dev dpkg-dev ||
  give_up "only root on Debian can install Go and the source package"

# The machine's own sources of packages, for source packages, in a list that nobody else reads.
# shellcheck disable=SC2016  # apt-get puts these in
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' | sort -u >"$scratch/sources.list"
mkdir -p "$scratch/lists/partial" "$scratch/source"
source_of() {
  apt-get -q -o Dir::Etc::SourceList="$scratch/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$scratch/lists" -o APT::Sandbox::User=root "$@"
}
source_of update >&2 || give_up "the lists of source packages cannot be fetched"
(cd "$scratch/source" && source_of source kubernetes) >&2 ||
  give_up "apt-get source kubernetes failed"
tree=$(echo "$scratch"/source/kubernetes-*/)
case $tree in
*"$version/") ;;
*) give_up "this release of Debian has $(basename "$tree")" ;;
esac

# With Go 1.18 and later the vendored reflect2 1.0.1 crashes on custom resources.
rm -rf "$tree/vendor/github.com/modern-go/reflect2"
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 "$tree/vendor/github.com/modern-go/" ||
  give_up "there is no reflect2 of Debian's"

export GOPATH="$scratch/go" GOCACHE="$scratch/cache" GO111MODULE=off CGO_ENABLED=0 GOFLAGS=
mkdir -p "$GOPATH/src/k8s.io" "$scratch/programs"
ln -s "${tree%/}" "$GOPATH/src/k8s.io/kubernetes"
cd "$GOPATH/src/k8s.io/kubernetes" || exit

# All generated code is in the source package but this, by which server-side apply merges.
nice go build -o "$scratch/" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen >&2 ||
  give_up "openapi-gen does not build"
described=$(grep -rlE --include='*.go' '^// *\+k8s:openapi-gen=' pkg cmd vendor/k8s.io/*/ |
  grep -vE '^vendor/k8s.io/(code-generator|sample-apiserver|kube-openapi|gengo)/' |
  xargs -n1 dirname | LC_ALL=C sort -u | sed 's,^,k8s.io/kubernetes/,' | paste -sd,)
nice "$scratch/openapi-gen" --logtostderr -i "$described" \
  -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
  -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$scratch/violations" >&2 ||
  give_up "the descriptions of its types cannot be generated"
cmp -s "$scratch/violations" api/api-rules/violation_exceptions.list ||
  give_up "the generated descriptions are not those of the release"

numbers=
for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
  package=k8s.io/kubernetes/vendor/$package
  rest=${version#*.}
  numbers="$numbers -X $package.gitVersion=v$version -X $package.gitMajor=${version%%.*}"
  numbers="$numbers -X $package.gitMinor=${rest%%.*}"
done
commands=
for each in "$@"; do commands="$commands ./cmd/$each"; done
# Without the clouds' providers, which are a third of it.
# shellcheck disable=SC2086  # these are several words
nice go build -tags providerless -trimpath -ldflags "-s -w $numbers" -o "$scratch/programs/" \
  $commands >&2 || give_up "it does not build"

cd "$scratch/programs" || exit
sha256sum -- * >"$scratch/SHA256SUMS"
{ mv -- * "$folder/" && mv "$scratch/SHA256SUMS" "$folder/"; } || give_up "$folder cannot be written"
echo "Kubernetes $version built in $(($(date +%s) - started)) s: $(du -sh "$folder")" >&2
