"""The programs of a real Kubernetes, which `tests/integration/kubernetes/build.sh` builds once."""

import os
import shutil
from pathlib import Path

VERSION = "1.20.2"
RECIPE = 1
"""Increase it when build.sh builds them differently."""
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
INSTALLED = ("etcd", "dockerd", "ip", "busybox", "unshare")


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


if __name__ == "__main__":
    print(folder(), VERSION, *BUILT)
