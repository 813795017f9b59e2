"""A toy TCP proxy: passes bytes on, cuts answers in the middle, is slow, or swallows everything.

Runs as a process of its own (`python3 -m faults.proxy`), told what to do by lines of JSON on its standard input and
saying `ok` after each; `Proxy` is the harness's side of it.
"""

import asyncio
import json
import random
import subprocess
import sys

PASS, CUT, SLOW, HOLE = "pass", "cut", "slow", "hole"


class Link:
    """One listening port and where it leads."""

    def __init__(self, to, seed):
        self.to = to
        self.mode = PASS
        self.rng = random.Random(seed)
        self.pairs = set()

    def turn(self, mode):
        left_hole = self.mode == HOLE and mode != HOLE
        self.mode = mode
        if left_hole:
            # Bytes were swallowed: what is left of these connections is of no use to anybody.
            for pair in [p for p in self.pairs if p.swallowed]:
                pair.abort()

    async def accept(self, reader, writer):
        pair = Pair(self, writer)
        self.pairs.add(pair)
        pair.swallowed = self.mode == HOLE
        try:
            up_reader, pair.up = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            pair.abort()
            self.pairs.discard(pair)
            return
        await asyncio.gather(pair.pump(reader, pair.up, False), pair.pump(up_reader, writer, True))
        self.pairs.discard(pair)
        writer.close()
        pair.up.close()


class Pair:
    """A connection and the one it is passed on by."""

    def __init__(self, link, down):
        self.link = link
        self.down = down
        self.up = None
        self.swallowed = False

    def abort(self):
        for writer in (self.down, self.up):
            if writer:
                writer.transport.abort()

    async def pump(self, reader, writer, answers):
        link = self.link
        try:
            while chunk := await reader.read(65536):
                if link.mode == HOLE or self.swallowed:
                    self.swallowed = True
                    continue
                if answers and link.mode == SLOW:
                    await asyncio.sleep(link.rng.uniform(0.1, 1.0))
                if answers and link.mode == CUT and link.rng.random() < 0.4:
                    writer.write(chunk[: link.rng.randrange(len(chunk))])
                    await writer.drain()
                    return self.abort()
                writer.write(chunk)
                await writer.drain()
            if not self.swallowed:
                writer.write_eof()
        except (OSError, RuntimeError):
            self.abort()
        if answers and not self.swallowed:
            writer.close()


async def serve():
    links = {}
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        said = json.loads(line)
        if "listen" in said:
            link = links[said["link"]] = Link(said["to"], said["seed"])
            await asyncio.start_server(link.accept, "127.0.0.1", said["listen"])
        else:
            links[said["link"]].turn(said["mode"])
        print("ok", flush=True)


class Proxy:
    """The harness's side."""

    def __init__(self, seed):
        self.seed = seed
        self.process = subprocess.Popen(
            [sys.executable, "-m", "faults.proxy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _say(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "ok\n":
            raise RuntimeError("the toy proxy has ended")

    def link(self, name, listen, to):
        self._say(link=name, listen=listen, to=to, seed=f"{self.seed}-{name}")
        return listen

    def turn(self, name, mode):
        self._say(link=name, mode=mode)

    def stop(self):
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    asyncio.run(serve())
