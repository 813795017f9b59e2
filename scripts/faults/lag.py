"""How late the machine wakes a thread that only sleeps. Bounds of time are extended by it: a loaded machine is no
fault of the product.

Measured in a process of its own, because the harness's own threads hold each other up.
"""

import subprocess
import sys
import threading
import time

NAP = 0.05
# Timers are never quite exact.
NOISE = 0.005


def main():
    while True:
        began = time.monotonic()
        time.sleep(NAP)
        over = time.monotonic() - began - NAP
        if over > NOISE:
            print(f"{began + NAP} {over}", flush=True)


class Lag:
    """Reads what the measuring process says."""

    def __init__(self):
        self.samples = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "faults.lag"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            due, over = line.split()
            self.samples.append((float(due), float(over)))

    def since(self, began):
        """Seconds by which a thread that woke every 50 ms would have been late since then, all together: what a chain
        of short steps is delayed by."""
        return sum(over for due, over in list(self.samples) if due >= began)

    def worst(self, began=0.0):
        return max((over for due, over in list(self.samples) if due >= began), default=0.0)

    def stop(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    main()
