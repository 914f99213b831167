"""Watches folders of this machine, and all folders below them, with one inotify instance and one
thread, however many there are.

watchdog's observer has a thread for each folder it is given; this uses the part below that, which
has one for all of them.
"""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

# Without opening and closing for reading, as listing a dataset would then be a change itself.
_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_BELOW = Mask(_MASK | InotifyConstants.IN_DONT_FOLLOW)
"""The same for a folder below, which is no link."""
_SKIPPED = (FileNotFoundError, NotADirectoryError, PermissionError)
"""Errors of a folder below that was deleted in the meantime, or may not be read."""

Changed = Callable[[Path], None]
"""Called with a watched folder when something changes there or below, in the watching thread."""


class Folders:
    """The watched folders. Blocking; for several threads, but one at a time for the same folder."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._inotify: InotifyFD | None = None
        self._trees: dict[Path, _Tree] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def watch(self, folder: Path) -> str | None:
        """Watch a folder as it is now: anew if it was replaced or changes were lost. Returns why it
        cannot be watched, or None."""
        try:
            about = folder.stat()
            identity = about.st_dev, about.st_ino
            tree = self._trees.get(folder)
            if tree is not None and tree.identity == identity and not tree.is_lost:
                return None
            self.forget(folder)
            self._trees[folder] = _Tree(self._started(), folder, identity, self._changed)
        except OSError as error:
            self.forget(folder)
            return _explained(folder, error)
        return None

    def forget(self, folder: Path) -> None:
        """Stop watching a folder, if it is watched."""
        tree = self._trees.pop(folder, None)
        if tree is not None:
            tree.close()

    def close(self) -> None:
        """Stop watching, and wait for the thread."""
        with self._lock:
            self._is_closed = True
            if self._inotify is not None:
                self._inotify.stop()
                self._inotify.join()
                self._inotify = None
            self._trees.clear()

    def _started(self) -> InotifyFD:
        with self._lock:
            if self._is_closed:
                raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
            if self._inotify is None:
                inotify = InotifyFD()
                inotify.start()
                self._inotify = inotify
            return self._inotify


class _Tree:
    """A watched folder with all folders below it, except for hidden ones."""

    def __init__(
        self, inotify: InotifyFD, folder: Path, identity: tuple[int, int], changed: Changed
    ) -> None:
        """Raises `OSError` if one of the folders cannot be watched; then none of them is."""
        self.identity = identity
        self.is_lost = False
        """Whether it has to be watched anew: it was moved or deleted, or changes were lost."""
        self._inotify = inotify
        self._folder = folder
        self._changed = changed
        self._lock = threading.Lock()
        self._top: _Node | None = None
        with self._lock:
            self._top = self._add(os.fsencode(folder), _MASK)

    def close(self) -> None:
        """Stop watching."""
        with self._lock:
            self.is_lost = True
            if self._top is not None:
                self._drop(self._top)

    def on_event(self, node: "_Node", event: InotifyEvent) -> None:
        """Something happened in one of the folders, or to it."""
        if event.is_directory and event.name and not event.name.startswith(b"."):
            with self._lock:
                self._follow(node, event)
        is_top_gone = node is self._top and (event.is_move_self or event.is_delete_self)
        if is_top_gone or event.mask & InotifyConstants.IN_UNMOUNT:
            self.is_lost = True
        self._changed(self._folder)

    def on_overflow(self) -> None:
        """The kernel dropped events."""
        self.is_lost = True
        self._changed(self._folder)

    def _follow(self, node: "_Node", event: InotifyEvent) -> None:
        """Watch a folder that is new, and do not watch one that left."""
        if self.is_lost:
            return
        known = node.children.pop(event.name, None)
        if known is not None:
            self._drop(known)
        if event.is_create or event.is_moved_to:
            try:
                node.children[event.name] = self._add(node.path + b"/" + event.name, _BELOW)
            except _SKIPPED:
                return
            except OSError:
                self.is_lost = True  # the next look says why

    def _add(self, path: bytes, mask: Mask) -> "_Node":
        """Watch a folder and all below; or none of them, and raise `OSError`."""
        top = self._watched(path, mask)
        waiting = [top]
        try:
            while waiting:
                node = waiting.pop()
                for name in _folders_in(node.path):
                    with suppress(*_SKIPPED):
                        node.children[name] = self._watched(node.path + b"/" + name, _BELOW)
                        waiting.append(node.children[name])
        except OSError:
            self._drop(top)
            raise
        return top

    def _watched(self, path: bytes, mask: Mask) -> "_Node":
        node = _Node(self, path)
        node.watch = self._inotify.add_callback(path, mask, node, node.id)
        if node.watch == -1:  # watchdog says nothing of this error
            self._inotify.remove_callbacks([(node.watch, node.id)])
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return node

    def _drop(self, top: "_Node") -> None:
        waiting = [top]
        watches = []
        while waiting:
            node = waiting.pop()
            watches.append((node.watch, node.id))
            waiting += node.children.values()
            node.children = {}
        self._inotify.remove_callbacks(watches)


class _Node:
    """One watched folder: what watchdog calls back."""

    __slots__ = ("_tree", "children", "path", "watch")

    def __init__(self, tree: _Tree, path: bytes) -> None:
        self._tree = tree
        self.path = path
        self.children: dict[bytes, _Node] = {}
        self.watch = WatchDescriptor(-1)

    @property
    def id(self) -> CallbackId:
        """Tells it from other callbacks of the same watch."""
        return CallbackId(id(self))

    def on_event(self, event: InotifyEvent) -> None:
        """Called by watchdog."""
        self._tree.on_event(self, event)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Called by watchdog after the folder was deleted, which was an event before."""

    def on_queue_overflow(self) -> None:
        """Called by watchdog."""
        self._tree.on_overflow()


def _folders_in(path: bytes) -> list[bytes]:
    """The names of the folders in a folder, without hidden ones and links."""
    try:
        with os.scandir(path) as entries:
            return [
                each.name
                for each in entries
                if each.is_dir(follow_symlinks=False) and not each.name.startswith(b".")
            ]
    except _SKIPPED:
        return []


def _explained(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"{folder} cannot be watched: the system's inotify watches are used up; "
            "raise fs.inotify.max_user_watches"
        )
    if error.errno == errno.EMFILE:
        return (
            f"{folder} cannot be watched: too many open files or inotify instances; raise "
            "`ulimit -n` or fs.inotify.max_user_instances"
        )
    return f"{folder} cannot be watched: {os.strerror(error.errno or 0)}"
