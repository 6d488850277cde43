# SPDX-License-Identifier: Apache-2.0
"""What a link of the lab carries: round trip and rate of TCP from one namespace to another.

lab_probe.py FROM TO ADDRESS    namespaces, and the address of TO"""
import select
import socket
import statistics
import subprocess
import sys
import time

TRIPS, PIECE = 20, 1 << 16
WARM_SECONDS, SECONDS, PATIENCE = 0.2, 0.5, 10.0


def receive(address):
    """In TO: answer each of the first bytes, then count what comes; print seconds and bytes."""
    with socket.create_server((address, 0)) as server:
        print(server.getsockname()[1], flush=True)
        server.settimeout(PATIENCE)
        with server.accept()[0] as peer:
            peer.settimeout(PATIENCE)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(TRIPS):
                peer.sendall(peer.recv(1))
            # Not from the beginning: the bucket starts full, and TCP slowly.
            start, first = time.monotonic(), None
            counted, last = 0, start
            while data := peer.recv(PIECE):
                last = time.monotonic()
                if first is not None:
                    counted += len(data)
                elif last > start + WARM_SECONDS:
                    first = last
            print(last - (first or last), counted, flush=True)


def send(address, port):
    """In FROM: print the median round trip in seconds, then send for a while."""
    with socket.create_connection((address, port), PATIENCE) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = []
        for _ in range(TRIPS):
            start = time.monotonic()
            peer.sendall(b".")
            peer.recv(1)
            trips.append(time.monotonic() - start)
        print(statistics.median(trips), flush=True)
        end = time.monotonic() + WARM_SECONDS + SECONDS
        while time.monotonic() < end:
            peer.sendall(bytes(PIECE))


def start(space, *words):
    command = ["ip", "netns", "exec", space, sys.executable, __file__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def line(process, what):
    if not select.select([process.stdout], [], [], 2 * PATIENCE)[0]:
        raise RuntimeError(f"no {what}")
    text = process.stdout.readline()
    if not text:
        raise RuntimeError(f"no {what}")
    return text


def probe(source, target, address):
    receiver, sender = start(target, "receive", address), None
    try:
        sender = start(source, "send", address, int(line(receiver, "receiver")))
        trip = float(line(sender, "round trip"))
        seconds, counted = map(float, line(receiver, "transfer").split())
        if seconds <= 0:
            raise RuntimeError("nothing arrived in time")
        print(f"{source} to {target}: round trip {trip * 1e3:.2f} ms, payload {counted * 8e-6 / seconds:.1f} Mbit/s")
    finally:
        for process in filter(None, (receiver, sender)):
            process.kill()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2])
    elif sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]))
    else:
        try:
            probe(*sys.argv[1:])
        except (RuntimeError, OSError, ValueError) as error:
            sys.exit(f"lab_probe.py: {error}")
