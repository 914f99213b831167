#!/usr/bin/env bash
# Below a folder that watchdog watches recursively, folders are silently not watched when the system's
# inotify watches are used up.
#
# `Observer.schedule(..., recursive=True)` of watchdog 7.1.0 raises `OSError` only if the topmost folder
# cannot be watched. If the kernel refuses a watch for one below (ENOSPC, `fs.inotify.max_user_watches`),
# it returns as if all were well, and changes of files in there cause no event: nothing is raised, and
# nothing is logged. So who waits for data below a large folder must look at it now and then, too, or
# add the watches with a part of watchdog that raises, as `InotifyFD.add_callback` does.
#
# The limit is lowered in a user namespace of its own, so nothing else is affected.
# Fails if any of this changes. Needs Linux with user namespaces, Python 3.11 or later and a package
# index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q watchdog==7.1.0
mkdir -p "$folder/lake/"{1,2,3,4,5,6,7,8,9}
cat > "$folder/watch.py" <<'PYTHON'
import sys
import time
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

lake = Path(sys.argv[1])
heard: set[str] = set()


class Handler(FileSystemEventHandler):
    def on_created(self, event: FileSystemEvent) -> None:
        heard.add(Path(event.src_path).parent.name)


observer = Observer()
observer.start()
observer.schedule(Handler(), str(lake), recursive=True)
print("schedule() raised nothing")
for below in lake.iterdir():
    (below / "part.csv").write_text("1")
(lake / "last.csv").write_text("1")
while "lake" not in heard:  # events come in order
    time.sleep(0.05)
observer.stop()
observer.join()
below = sorted(heard - {"lake"})
print(f"of 9 folders with a new file, it told of {len(below)}")
assert len(below) == 4, "it now tells of another number of folders"
PYTHON
unshare -Ur sh -c 'echo 5 > /proc/sys/user/max_inotify_watches && exec "$@"' sh \
  "$folder/venv/bin/python" "$folder/watch.py" "$folder/lake"
