"""The programs of a real Kubernetes, which `tests/integration/kubernetes/build.sh` builds once."""

import os
import shutil
from pathlib import Path

VERSION = "1.20.2"
RECIPE = 2
"""Increase it when build.sh builds them differently."""
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
INSTALLED = ("etcd", "dockerd", "ip", "iptables", "conntrack", "busybox", "unshare", "nsenter")


def folder() -> Path:
    """Where they are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "headgate-tests" / f"kubernetes-{VERSION}-{RECIPE}"


def missing() -> list[str]:
    """The programs that this machine lacks."""
    built = folder()
    whole = (built / "SHA256SUMS").exists()  # it is written last
    lacking = [name for name in BUILT if not (whole and (built / name).exists())]
    return lacking + [name for name in INSTALLED if shutil.which(name) is None]


def hindrance() -> str | None:
    """What is missing for a cluster, and what to do about it; None if all is there."""
    lacking = missing()
    if not lacking:
        return None
    how = "run `make kubernetes` as root on Debian 12, which builds them in ten minutes"
    return f"no Kubernetes {VERSION} ({', '.join(lacking)}): {how}"


if __name__ == "__main__":
    print(folder(), VERSION, *BUILT)
