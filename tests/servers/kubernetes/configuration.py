"""What the parts of a cluster are started with.

Only times differ from what a cluster has by default, so that a lost node is noticed in seconds, and
`TTLAfterFinished`, which later releases have turned on.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.servers.kubernetes.network import BRIDGE, Network
from tests.servers.kubernetes.pause import PAUSE
from tests.servers.kubernetes.programs import folder

NODE = "node-1"
GATES = "TTLAfterFinished=true"
RUNTIME = """#!/bin/sh
for each in "$@"; do
  asked=$each/config.json
  [ -e "$asked" ] && sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$asked"
done
exec runc "$@"
"""
"""Starts containers without the protection from lack of memory that a kubelet asks for, which a
virtual machine or container with fewer rights cannot give: there none of them would start."""
USERS = {
    "admin": ("admin", "1", "system:masters"),
    "stranger": ("stranger", "2"),
    "kube-controller-manager": ("system:kube-controller-manager", "3"),
    "kube-scheduler": ("system:kube-scheduler", "4"),
    "kubelet": (f"system:node:{NODE}", "5", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", "6"),
}
"""Who has a token and a kubeconfig: name, id and group. The stranger has no rights."""
PORTS = ("etcd", "peers", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
GRACE = 20
"""Seconds without word from the node after which it counts as lost, and its pods a while later."""


@dataclass(frozen=True)
class Place:
    """Where a cluster is: its folder, its ports on this machine, and its network."""

    home: Path
    ports: dict[str, int]
    network: Network

    @property
    def api(self) -> str:
        """The API server, for this machine, the node and the pods."""
        return f"https://{self.network.machine}:{self.ports['kube-apiserver']}"

    @property
    def etcd(self) -> str:
        """What keeps its objects."""
        return f"http://127.0.0.1:{self.ports['etcd']}"

    @property
    def docker(self) -> str:
        """The engine that runs the pods' containers."""
        return f"unix://{self.home}/d.sock"

    def kubeconfig(self, user: str) -> Path:
        """The file by which one of `USERS` finds the API server."""
        return self.home / f"{user}.kubeconfig"


def write(place: Place, tokens: dict[str, str]) -> None:
    """Write the files that the commands name; `tokens` is by user."""
    lines = [",".join((tokens[user], *USERS[user])) for user in tokens]
    (place.home / "tokens.csv").write_text("\n".join(lines))
    for user, token in tokens.items():
        place.kubeconfig(user).write_text(json.dumps(_kubeconfig(place, user, token)))
    (place.home / "kubelet.json").write_text(json.dumps(_kubelet(place)))
    (place.home / "kube-proxy.json").write_text(json.dumps(_proxy(place)))
    (place.home / "resolv.conf").write_text("")  # there are no names to ask for
    runtime = place.home / "runc.sh"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)


def commands(place: Place) -> dict[str, list[str]]:
    """The command of each part."""
    home, ports, programs = place.home, place.ports, folder()
    peers = f"http://127.0.0.1:{ports['peers']}"
    managing = ("kube-controller-manager", "kube-scheduler")
    made = {
        "dockerd": place.network.inside(
            "dockerd", "--host", place.docker, "--data-root", f"{home}/docker",
            "--exec-root", f"{home}/exec", "--pidfile", f"{home}/d.pid", "--shutdown-timeout", "3",
            # It changes nothing of the network: pods and machine reach each other.
            "--bridge", BRIDGE, "--iptables=false", "--ip-forward=false", "--ip-masq=false",
            "--userland-proxy=false",
            "--add-runtime", f"unprotected={home}/runc.sh", "--default-runtime", "unprotected",
        ),
        "etcd": [
            "etcd", "--data-dir", f"{home}/etcd", "--name", "one", "--logger", "zap",
            "--log-level", "warn", "--listen-client-urls", place.etcd,
            "--advertise-client-urls", place.etcd, "--listen-peer-urls", peers,
            "--initial-advertise-peer-urls", peers, "--initial-cluster", f"one={peers}",
        ],
        "kube-apiserver": [f"{programs}/kube-apiserver", *_apiserver(place)],
        "kube-proxy": place.network.inside(
            f"{programs}/kube-proxy", "--config", f"{home}/kube-proxy.json"
        ),
        "kubelet": place.network.inside(
            f"{programs}/kubelet", "--config", f"{home}/kubelet.json",
            "--kubeconfig", str(place.kubeconfig("kubelet")), "--hostname-override", NODE,
            "--node-ip", place.network.node, "--root-dir", f"{home}/kubelet",
            "--cert-dir", f"{home}/kubelet", "--container-runtime", "docker",
            "--docker-endpoint", place.docker,
            "--docker", place.docker,  # for what measures containers, without which none is evicted
            "--pod-infra-container-image", PAUSE,
            "--container-runtime-endpoint", f"unix://{home}/dockershim.sock",
            "--experimental-dockershim-root-directory", f"{home}/dockershim",
        ),
    }  # fmt: skip
    for name in managing:
        config = place.kubeconfig(name)
        made[name] = [
            f"{programs}/{name}", "--kubeconfig", str(config), "--leader-elect=false", "--port=0",
            "--authentication-kubeconfig", str(config), "--authorization-kubeconfig", str(config),
            "--bind-address", "127.0.0.1", "--secure-port", str(ports[name]),
            "--cert-dir", f"{home}/{name}", "--feature-gates", GATES,
        ]  # fmt: skip
    made["kube-controller-manager"] += [
        "--use-service-account-credentials", "--root-ca-file", f"{home}/ca.crt",
        "--service-account-private-key-file", f"{home}/accounts.key",
        "--node-monitor-grace-period", f"{GRACE}s", "--node-monitor-period", "2s",
    ]  # fmt: skip
    return made


def _apiserver(place: Place) -> list[str]:
    home = place.home
    return [
        "--etcd-servers", place.etcd, "--bind-address", place.network.machine,
        "--secure-port", str(place.ports["kube-apiserver"]),
        "--advertise-address", place.network.machine,
        "--endpoint-reconciler-type", "none",
        "--service-cluster-ip-range", place.network.services,
        "--cert-dir", f"{home}/apiserver", "--client-ca-file", f"{home}/ca.crt",
        "--tls-cert-file", f"{home}/apiserver.crt",
        "--tls-private-key-file", f"{home}/apiserver.key",
        "--token-auth-file", f"{home}/tokens.csv", "--authorization-mode", "Node,RBAC",
        "--enable-admission-plugins", "NodeRestriction",
        "--kubelet-client-certificate", f"{home}/asks-kubelet.crt",
        "--kubelet-client-key", f"{home}/asks-kubelet.key",
        "--kubelet-certificate-authority", f"{home}/ca.crt",
        "--kubelet-preferred-address-types", "InternalIP",
        "--service-account-issuer", "https://kubernetes.default.svc",
        "--service-account-key-file", f"{home}/accounts.key",
        "--service-account-signing-key-file", f"{home}/accounts.key",
        "--default-not-ready-toleration-seconds", "5",
        "--default-unreachable-toleration-seconds", "5", "--feature-gates", GATES,
    ]  # fmt: skip


def _kubeconfig(place: Place, user: str, token: str) -> dict[str, object]:
    cluster = {"server": place.api, "certificate-authority": f"{place.home}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
        "current-context": "tests",
    }


def _kubelet(place: Place) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": place.network.node,
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": place.ports["kubelet"],
        "tlsCertFile": f"{place.home}/kubelet.crt",
        "tlsPrivateKeyFile": f"{place.home}/kubelet.key",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{place.home}/ca.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        # Pods of two clusters on one machine would share a group, and each remove the other's.
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": f"{place.home}/resolv.conf",
        "clusterDNS": [
            place.network.service(10)
        ],  # where nobody answers; without one each pod is warned of it
        "volumePluginDir": f"{place.home}/plugins",
        "featureGates": {"DevicePlugins": False},
        "volumeStatsAggPeriod": "2s",  # else volumes are measured every minute or two
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # none could be pulled again
        "nodeLeaseDurationSeconds": GRACE,  # renewed in a quarter of it
        "nodeStatusUpdateFrequency": "5s",
    }


def _proxy(place: Place) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": NODE,
        "clientConnection": {"kubeconfig": str(place.kubeconfig("kube-proxy"))},
        # Pods of one bridge would else answer each other past the rules.
        "iptables": {"masqueradeAll": True, "minSyncPeriod": "0s", "syncPeriod": "30s"},
        "conntrack": {"maxPerCore": 0, "min": 0},  # as the machine has it
    }
