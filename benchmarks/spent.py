"""`python FILE COMMAND...`: run a command, then print what it took as a last line of JSON.

As a process of its own it is small: the peak memory of a process counts from what its parent had
when it started it. What the command prints is in that line too.
"""

import json
import os
import subprocess
import sys
import time

if __name__ == "__main__":
    began = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    sys.stdout.write(
        json.dumps({
            "code": os.waitstatus_to_exitcode(status),
            "cpu": usage.ru_utime + usage.ru_stime,
            "wall": time.perf_counter() - began,
            "peak": usage.ru_maxrss * 1024,
            "said": said,
        })
    )  # fmt: skip
