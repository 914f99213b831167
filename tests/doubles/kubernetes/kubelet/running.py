"""A pod that runs as processes of this machine."""

import signal
import subprocess
import threading
from pathlib import Path

from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.kubelet.images import ImageRegistry, LocalImage
from tests.doubles.kubernetes.kubelet.probes import probe_error
from tests.doubles.kubernetes.kubelet.process import (
    ContainerProcess,
    command_of,
    held,
    sandbox,
    user_of,
)
from tests.doubles.kubernetes.kubelet.site import PodSite
from tests.doubles.kubernetes.kubelet.volumes import ConfigurationError, PodFiles

_AGAIN = 10.0
"""Seconds of the cluster before something that failed is tried again; doubled each time."""
_MOST = 300.0
_MESSAGE = 4096
"""Bytes of a termination message."""


class RunningPod:
    """Runs the containers of a pod: init containers in turn, sidecars, then the others."""

    def __init__(self, site: PodSite, images: ImageRegistry, folder: Path) -> None:
        self.site = site
        self._state = site.state
        self._images = images
        self._files = PodFiles(site.actor, site.pod, folder, site.state.address)
        self._volumes: dict[str, Path] = {}
        self._hosts = folder / "hosts"
        self._processes: dict[str, ContainerProcess] = {}
        self._sandboxes: dict[str, list[str]] = {}
        self._reasons: dict[str, str] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._kill_at: float | None = None
        self._begun = site.clock.seconds()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = False
        site.clock.listeners.append(self._wake)

    @property
    def ended(self) -> bool:
        return self._over

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def step(self) -> float | None:
        now = self.site.clock.seconds()
        if not self._thread.ident:
            self._thread.start()
        if self._over:
            return None
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._kill_all()
                return None
            return self._kill_at
        deadline = self.site.pod["spec"].get("activeDeadlineSeconds")
        if deadline is None:
            return None
        if now < self._begun + deadline:
            return float(self._begun + deadline)
        why = "Pod was active on the node longer than the specified deadline"
        self.fail("DeadlineExceeded", why)
        return None

    def stop(self, seconds: float) -> None:
        until = self.site.clock.seconds() + seconds
        with self._changed:
            first = not self._stopping
            self._stopping = True
            self._kill_at = until if self._kill_at is None else min(until, self._kill_at)
            self._changed.notify_all()
        for process in list(self._processes.values()) if first else ():
            process.signal(signal.SIGTERM)
        if seconds <= 0:
            self._kill_all()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread.ident:
            self._thread.join()

    def fail(self, reason: str, message: str) -> None:
        self._state.failed = (reason, message)
        self.stop(0)

    def kill(self, container: str, reason: str) -> None:
        self._reasons[container] = reason
        self._processes[container].kill()

    def _kill_all(self) -> None:
        for process in list(self._processes.values()):
            process.kill()

    def _pause(self, seconds: float) -> bool:
        """Wait for some of the cluster's seconds; False if the pod ends meanwhile."""
        until = self.site.clock.seconds() + seconds
        with self._changed:
            while not self._stopping:
                left = until - self.site.clock.seconds()
                if left <= 0:
                    return True
                self._changed.wait(self.site.clock.real(left))
        return False

    def _run(self) -> None:
        try:
            if self._mount():
                self._go_through()
        finally:
            self._over = True
            self.site.clock.listeners.remove(self._wake)
            self.site.report()
            self._files.remove()
            self.site.wake()

    def _mount(self) -> bool:
        wait = 1.0
        while True:
            try:
                self._volumes = self._files.prepare()
            except ConfigurationError as error:
                self.site.report()
                message = f"MountVolume.SetUp failed for volume: {error}"
                self.site.event("FailedMount", message, "Warning")
                if not self._pause(wait):
                    return False
                wait = min(wait * 2, 120)
            else:
                self._state.network = True
                return True

    def _go_through(self) -> None:
        sidecars: list[threading.Thread] = []
        spec = self.site.pod["spec"]
        for container in spec.get("initContainers", ()):
            if self._state.is_sidecar(container):
                sidecars.append(self._begin(container))
                self._started(container)
            else:
                self._keep(container)
                ended = self._state.inits[container["name"]].terminated
                if self._stopping or dig(ended, "exitCode") != 0:
                    break
        else:
            mains = [self._begin(container) for container in spec["containers"]]
            for thread in mains:
                thread.join()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for name in self._state.inits:
            if name in self._processes:
                self._processes[name].signal(signal.SIGTERM)
                self._kill_at = self.site.clock.seconds() + float(
                    spec["terminationGracePeriodSeconds"]
                )
        self.site.wake()
        for thread in sidecars:
            thread.join()

    def _begin(self, container: Obj) -> threading.Thread:
        thread = threading.Thread(target=self._keep, args=(container,), daemon=True)
        thread.start()
        return thread

    def _started(self, container: Obj) -> None:
        """Wait until a sidecar has started: it runs, and its startup probe has succeeded."""
        name = container["name"]
        with self._changed:
            while not (self._stopping or self._state.of(name).running):
                self._changed.wait()
        probe = container.get("startupProbe")
        while probe and not self._stopping:
            words = self._sandboxes[name]
            if not subprocess.run(
                [*words, "--", *probe["exec"]["command"]], check=False
            ).returncode:
                return
            self._pause(float(probe["periodSeconds"]))

    def _keep(self, container: Obj) -> None:
        """Run a container, again and again if it is to be restarted."""
        state = self._state.of(container["name"])
        policy = container.get("restartPolicy") or self.site.pod["spec"]["restartPolicy"]
        if (
            container["name"] in self._state.inits
            and policy == "Always"
            and "restartPolicy" not in container
        ):
            policy = "OnFailure"
        wait = _AGAIN
        while not self._stopping:
            code = self._once(container)
            self.site.report()
            if code is None or policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            if not self._pause(0):
                return
            state.wait(
                "CrashLoopBackOff",
                f"back-off {wait:.0f}s restarting failed container={container['name']}",
            )
            self.site.report()
            self.site.event(
                "BackOff", f"Back-off restarting failed container {container['name']}", "Warning"
            )
            if not self._pause(wait):
                return
            wait = min(wait * 2, _MOST)

    def _once(self, container: Obj) -> int | None:
        """Run a container to its end: the exit code, or None if it never came to run."""
        image = self._pull(container)
        if image is None:
            return None
        process = self._start(container, image)
        if process is None:
            return None
        name = container["name"]
        stop = threading.Event()
        probes = [
            threading.Thread(target=self._probe, args=(container, kind, stop), daemon=True)
            for kind in ("readinessProbe", "livenessProbe")
            if kind in container
        ]
        for each in probes:
            each.start()
        code = process.wait()
        stop.set()
        self._wake()
        for each in probes:
            each.join()
        self._note_end(container, process, code)
        self._processes.pop(name, None)
        return code

    def _note_end(self, container: Obj, process: ContainerProcess, code: int) -> None:
        name = container["name"]
        now = self.site.clock.stamp()
        state = self._state.of(name)
        if process.start_error:
            message = f"failed to create containerd task: {process.start_error}"
            state.end(now, 128, "StartError", message)
            self.site.event("Failed", f"Error: {message}", "Warning")
            return
        said = self._files.path(f"containers/{name}/termination-log").read_bytes()[-_MESSAGE:]
        if not said and code and container["terminationMessagePolicy"] == "FallbackToLogsOnError":
            said = process.last_words()
        state.end(now, code, self._reasons.pop(name, ""), said.decode(errors="replace"))

    def _pull(self, container: Obj) -> LocalImage | None:
        """The image, once there is one; None if the pod ends before."""
        name, wait = container["image"], _AGAIN
        state = self._state.of(container["name"])
        while True:
            image = self._images.find(name)
            if image is not None:
                return image
            if container["imagePullPolicy"] == "Never":
                said = f'Container image "{name}" is not present with pull policy of Never'
                state.wait("ErrImageNeverPull", said)
                self.site.report()
                self.site.event("ErrImageNeverPull", said, "Warning")
                if not self._pause(wait):
                    return None
                continue
            message = f'failed to pull and unpack image "{name}": not found'
            state.wait("ErrImagePull", message)
            self.site.report()
            self.site.event("Failed", f'Failed to pull image "{name}": {message}', "Warning")
            if not self._pause(1.0):
                return None
            state.wait(
                "ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {message}'
            )
            self.site.report()
            self.site.event("BackOff", f'Back-off pulling image "{name}"', "Normal")
            if not self._pause(wait):
                return None
            wait = min(wait * 2, _MOST)

    def _start(self, container: Obj, image: LocalImage) -> ContainerProcess | None:
        name = container["name"]
        state = self._state.of(name)
        while True:
            try:
                env = self._files.environment(container)
                whole = {**image.env, "HOSTNAME": self.site.pod["metadata"]["name"], **env}
                command = held(container, command_of(container, image, whole))
                user = user_of(self.site.pod, container, image)
            except ConfigurationError as error:
                state.wait("CreateContainerConfigError", str(error))
                self.site.report()
                self.site.event("Failed", f"Error: {error}", "Warning")
                if not self._pause(_AGAIN):
                    return None
            else:
                break
        log = self.site.new_log(name)
        told = self._files.file(f"containers/{name}/termination-log")
        files = {container["terminationMessagePath"]: told}
        if self._hosts.exists():
            files["/etc/hosts"] = self._hosts
        words = sandbox(container, image, user, self._volumes, files)
        self._sandboxes[name] = words
        with self._changed:
            if self._stopping:
                return None
            process = ContainerProcess(words, command, whole, log, self.site.clock)
            self._processes[name] = process
            ready = "readinessProbe" not in container
            state.run(self.site.clock.stamp(), self.site.container_id(name), ready)
            self._changed.notify_all()
        self.site.report()
        self.site.event("Started", f"Started container {name}")
        return process

    def _probe(self, container: Obj, kind: str, stop: threading.Event) -> None:
        """Probe while the container runs: report its readiness, and kill what is not alive."""
        probe = container[kind]
        name, address = container["name"], self._state.address
        good = bad = 0
        wait = float(probe.get("initialDelaySeconds", 0))
        while self._pause(wait) and not stop.is_set():
            wait = float(probe["periodSeconds"])
            why = probe_error(probe, container, address)
            if stop.is_set():
                return
            good, bad = (good + 1, 0) if why is None else (0, bad + 1)
            if why is not None:
                title = kind.removesuffix("Probe").capitalize()
                self.site.event("Unhealthy", f"{title} probe failed: {why}", "Warning")
            if kind == "livenessProbe":
                if bad >= probe["failureThreshold"]:
                    self.site.event(
                        "Killing", f"Container {name} failed liveness probe, will be restarted"
                    )
                    self._processes[name].kill()
                    return
            elif good == probe["successThreshold"] or bad == probe["failureThreshold"]:
                self._state.of(name).ready = why is None
                self.site.report()
