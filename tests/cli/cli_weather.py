# SPDX-License-Identifier: Apache-2.0
"""The program weather_proxy, put between peers by WEFT_ADVERTISE as docs/lab.md says: its refusals, right
results through delays and losses, an error that names the peer when it cuts.

cli_weather.py weather_proxy"""
import json
import signal
import socket
import subprocess
import sys
import tempfile

from program import LONG, WEFT, check, done, environment

proxy = sys.argv[1]


def refused(*words, says):
    process = subprocess.run([proxy, *words], capture_output=True, text=True, timeout=LONG)
    check(process.returncode == 2, "status 2", process)
    check(says in process.stderr, f"stderr does not say: {says}", process)


def free_port():
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def bench(weather, *words):
    """Two peers, the proxy in front of the second; the ends of all three."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        relay = subprocess.Popen([proxy, "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{port}", *weather],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        endpoint = relay.stdout.readline().split()[0]
        check(endpoint.startswith("tcp://127.0.0.1:"), f"endpoint {endpoint}")
        places = [{"WEFT_LISTEN": "tcp://127.0.0.1:*"},
                  {"WEFT_LISTEN": f"tcp://127.0.0.1:{port}", "WEFT_ADVERTISE": endpoint}]
        peers = [subprocess.Popen([WEFT, "bench", "allreduce", "--link", "tcp", *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True,
                                  env=environment(folder, WEFT_MEET=f"file://{folder}", WEFT_SIZE=2, WEFT_RANK=rank, **place))
                 for rank, place in enumerate(places)]
        ends = [peer.communicate(timeout=LONG) for peer in peers]
        relay.send_signal(signal.SIGTERM)
        told = relay.communicate(timeout=LONG)[1]
        check(relay.returncode == 0, f"the proxy ends with {relay.returncode}: {told}")
        return [peer.returncode for peer in peers], ends, told


refused(says="usage: weather_proxy")
refused("--listen", "127.0.0.1", "--to", "127.0.0.1:1", says="--listen '127.0.0.1': expected HOST:PORT")
refused("--listen", "127.0.0.1:0", "--to", "127.0.0.1:77777", says="--to '127.0.0.1:77777': expected HOST:PORT")
refused("--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--loss", "2", says="--loss '2'")
refused("--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--delay", "nan", says="--delay 'nan'")
refused("--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--cut-after", "0", says="--cut-after '0'")

sizes = ("-b", "256K", "-i", "3", "-w", "0", "--json", "-")
statuses, ends, told = bench(("--delay", "1", "--jitter", "2", "--loss", "0.02", "--resend", "20", "--rate", "200"), *sizes)
check(statuses == [0, 0], f"statuses {statuses}: {ends}")
row, = json.loads(ends[0][0])["rows"]
check(row["out_of_place"]["wrong"] == 0, f"wrong results: {row}")
check(row["out_of_place"]["min_us"] >= 10485, f"256 KiB each way take 10.5 ms at least: {row}")
check(" 0 lost" not in told and " 0 cuts" in told, told)

statuses, ends, told = bench(("--cut-after", "300000"), *sizes)
check(statuses[0] not in (0, 1, 2) and statuses[1] not in (0, 1, 2), f"statuses {statuses}: {ends}")
check("rank 1" in ends[0][1] and "rank 0" in ends[1][1], f"nobody is named: {ends}")
check(" 0 cuts" not in told, told)
done()
