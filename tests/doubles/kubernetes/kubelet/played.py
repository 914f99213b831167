"""A pod that is played: its states follow a script, by the cluster's clock."""

from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.kubelet.plays import Play
from tests.doubles.kubernetes.kubelet.site import PodSite
from tests.doubles.kubernetes.kubelet.status import ContainerState

_BACKOFF = 10.0


class PlayedPod:
    """Goes through the states that its play tells of."""

    def __init__(self, site: PodSite, play: Play) -> None:
        self.site = site
        self._play = play
        self._state = site.state
        self._start = site.clock.seconds() + play.starts_after
        self._told = ""
        self._over = False
        self._readied = False

    @property
    def ended(self) -> bool:
        return self._over

    def step(self) -> float | None:
        now = self.site.clock.seconds()
        if self._over:
            return None
        if now < self._start:
            self._tell("waiting")
            return self._start
        if self._play.waiting:
            self._refuse(*self._play.waiting)
            return None
        if not any(each.running for each in self._state.mains.values()) and not self._run():
            return None
        return self._go_on(now)

    def _tell(self, what: str) -> None:
        if self._told != what:
            self._told = what
            self.site.report()

    def _refuse(self, reason: str, message: str) -> None:
        if self._told == "refused":
            return
        for each in self._state.mains.values():
            each.wait(reason, message)
        self._state.network = True
        self._tell("refused")
        self.site.event("Failed", f"Error: {reason}", "Warning")
        self.site.event("BackOff" if "BackOff" in reason else "Failed", message, "Warning")

    def _run(self) -> bool:
        """Whether its containers came to run."""
        stamp = self.site.clock.stamp(self._start)
        self._state.network = True
        for name, init in self._state.inits.items():
            init.run(stamp, self.site.container_id(name), ready=True)
            self._log(name)
            if self._play.container == name:
                init.end(stamp, self._play.exit_code, self._play.reason, self._play.message)
                self._over = True
                self._tell("failed")
                return False
            init.end(stamp, 0)
        self._readied = self._play.ready_after == 0
        for name, main in self._state.mains.items():
            main.run(stamp, self.site.container_id(name), ready=self._readied)
            self._log(name)
        self._tell(f"running {self._start}")
        return True

    def _log(self, name: str) -> None:
        log = self.site.new_log(name)
        if self._play.container in ("", name):
            for line in self._play.log:
                log.add(self._start, f"{line}\n".encode())
        log.end()

    def _go_on(self, now: float) -> float | None:
        play = self._play
        due: list[float] = []
        if not self._readied and play.ready_after is not None:
            due.append(self._start + play.ready_after)
            if now >= due[0]:
                due.clear()
                self._readied = True
                for each in self._state.mains.values():
                    each.ready = True
                self.site.report()
        if play.runs is not None:
            end = self._start + play.runs
            if now >= end:
                return self._end(end)
            due.append(end)
        return min(due, default=None)

    def _end(self, when: float) -> float | None:
        play, stamp = self._play, self.site.clock.stamp(when)
        for name, each in self._state.mains.items():
            code = play.exit_code if play.container in ("", name) else 0
            reason = play.reason if play.container in ("", name) else ""
            each.end(stamp, code, reason, play.message)
        policy = self._pod["spec"]["restartPolicy"]
        if policy == "Always" or (policy == "OnFailure" and play.exit_code):
            restarts = max(each.restarts for each in self._state.mains.values())
            for each in self._state.mains.values():
                each.wait("CrashLoopBackOff", "back-off restarting failed container")
            self._start = when + min(_BACKOFF * 2.0**restarts, 300)
            self._tell(f"crashed {when}")
            return self._start
        self._over = True
        self._tell("ended")
        return None

    @property
    def _pod(self) -> Obj:
        return self.site.pod

    def stop(self, seconds: float) -> None:  # noqa: ARG002 - a played container ends at once
        if self._over:
            return
        self._over = True
        self._kill_all("")
        self.site.report()

    def fail(self, reason: str, message: str) -> None:
        self._over = True
        self._state.failed = (reason, message)
        self._kill_all("")
        self.site.report()

    def kill(self, container: str, reason: str) -> None:
        stamp = self.site.clock.stamp()
        self._state.of(container).end(stamp, 137, reason)
        left = [each for each in self._state.mains.values() if each.running]
        self._over = not left
        self.site.report()

    def _kill_all(self, reason: str) -> None:
        stamp = self.site.clock.stamp()
        for each in self._state.mains.values():
            if each.running:
                _killed(each, stamp, reason)


def _killed(state: ContainerState, stamp: str, reason: str) -> None:
    state.end(stamp, 143 if not reason else 137, reason)
