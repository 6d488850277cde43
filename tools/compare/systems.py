# SPDX-License-Identifier: Apache-2.0
"""How each system is asked for a timed allreduce, on this machine or in a lab of tools/lab.sh.

Every system times alike: warm-ups, then a number of operations, each between barriers and as long as on its
slowest process; a line of JSON tells their median. weft and MPI work out of place, Gloo in place, which is
the only way of its classes. What is no allreduce says so in `told`, and a rival of a fixed number of
processes in `peers`."""
import json
import os
import pathlib
import shutil
import subprocess

LAB = pathlib.Path(__file__).resolve().parents[1] / "lab.sh"


class Impossible(Exception):
    """Something is not installed."""


class Setting:
    """What is the same for all runs."""

    def __init__(self, weft, programs, link, algo, iters, warmups, lab):
        self.weft, self.programs, self.link, self.algo = weft, programs, link, algo
        self.iters, self.warmups, self.lab = iters, warmups, lab

    def counts(self):
        return ["-i", str(self.iters), "-w", str(self.warmups)]

    def in_lab(self, peers, *command):
        return ["sh", str(LAB), "run", "--name", self.lab, "-n", str(peers), *command]

    def program(self, name, needs):
        path = self.programs / name
        if shutil.which(path) is None:
            raise Impossible(f"no {path}; it is built where {needs} is found")
        return str(path)


def last_row(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


class Weft:
    name, variants = "weft", ("weft",)

    def __init__(self, setting):
        self.setting = setting

    def command(self, _, peers, size):
        s = self.setting
        bench = [s.weft, "bench", "allreduce", "--link", s.link, "--algo", s.algo, "-b", str(size), *s.counts(), "--json", "-"]
        return (s.in_lab(peers, *bench) if s.lab else [*bench, "-n", str(peers)]), {}

    def read(self, text):
        row, = json.loads(text)["rows"]
        return {"p50_us": row["out_of_place"]["p50_us"], "min_us": row["out_of_place"]["min_us"], "algo": row["algo"]}


class Rival:
    peers, told = None, None


class Gloo(Rival):
    name, known = "gloo", None
    # A rank of the lab's, as gloo_allreduce wants it.
    ENTER = 'exec "$0" --rank "$WEFT_RANK" --address "$LAB_ADDRESS" --folder "${WEFT_MEET#file://}" "$@"'

    def __init__(self, setting):
        self.setting = setting
        self.program = setting.program("gloo_allreduce", "a C++ compiler and Gloo (libgloo-dev)")
        listed = subprocess.run([self.program, "--list"], capture_output=True, text=True, check=True)
        self.variants = self.known = tuple(listed.stdout.split())

    def command(self, variant, peers, size):
        s = self.setting
        words = [self.program, *s.counts(), variant, str(peers), str(size)]
        return (s.in_lab(peers, "sh", "-c", self.ENTER, *words) if s.lab else words), {}

    def read(self, text):
        return last_row(text)


class OpenMpi(Rival):
    """Variants: as Open MPI chooses; in place; its algorithms by number."""
    name, tcp = "openmpi", False
    known = ("default", "inplace", "recursive_doubling", "ring", "segmented_ring", "rabenseifner")
    NUMBERS = {"recursive_doubling": 3, "ring": 4, "segmented_ring": 5, "rabenseifner": 6}
    TCP = ("--mca", "pml", "ob1", "--mca", "btl", "tcp,self")
    # Started where the bridge is; each rank then goes to its own namespace.
    ENTER = 'exec sh "$WEFT_LAB" exec --name "$WEFT_LAB_NAME" "$OMPI_COMM_WORLD_RANK" "$0" "$@"'

    def __init__(self, setting):
        self.setting, self.variants = setting, ("default",)
        self.program = setting.program("mpi_allreduce_openmpi", "Open MPI (libopenmpi-dev)")
        self.launcher = shutil.which("mpiexec.openmpi") or shutil.which("mpiexec")
        if self.launcher is None:
            raise Impossible("no mpiexec.openmpi (openmpi-bin)")
        if setting.lab and not self.tcp:
            raise ValueError("openmpi would pass by the lab through shared memory: compare with openmpi-tcp")

    def command(self, variant, peers, size):
        s = self.setting
        env = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"} if os.geteuid() == 0 else {}
        words = [self.launcher, "--oversubscribe", "--bind-to", "none"]
        words += self.TCP if self.tcp else ()
        if variant in self.NUMBERS:
            words += ["--mca", "coll_tuned_use_dynamic_rules", "1",
                      "--mca", "coll_tuned_allreduce_algorithm", str(self.NUMBERS[variant])]
        program = [self.program, *s.counts(), *(["--inplace"] if variant == "inplace" else []), str(size)]
        if not s.lab:
            words += ["--mca", "btl_tcp_if_include", "lo"] if self.tcp else []
            return [*words, "-n", str(peers), *program], env
        env.update(WEFT_LAB=str(LAB), WEFT_LAB_NAME=s.lab, PMIX_MCA_ptl_base_remote_connections="1",
                   PMIX_MCA_ptl_base_if_include="br0", PMIX_MCA_gds="hash")
        words += ["--mca", "oob_tcp_if_include", "br0", "--mca", "btl_tcp_if_include", "eth0"]
        return ["sh", str(LAB), "exec", "--name", s.lab, "hub", *words, "-n", str(peers), "sh", "-c", self.ENTER, *program], env

    def read(self, text):
        return last_row(text)


class OpenMpiTcp(OpenMpi):
    name, tcp = "openmpi-tcp", True


class Mpich(Rival):
    name, known = "mpich", ("default", "inplace")

    def __init__(self, setting):
        self.setting, self.variants = setting, ("default",)
        self.program = setting.program("mpi_allreduce_mpich", "MPICH (libmpich-dev)")
        self.launcher = shutil.which("mpiexec.mpich") or shutil.which("mpiexec.hydra")
        if self.launcher is None:
            raise Impossible("no mpiexec.mpich (mpich)")
        if setting.lab:
            raise ValueError("mpich does not run in a lab: it would pass by it through shared memory")

    def command(self, variant, peers, size):
        program = [self.program, *self.setting.counts(), *(["--inplace"] if variant == "inplace" else []), str(size)]
        return [self.launcher, "-n", str(peers), *program], {}

    def read(self, text):
        return last_row(text)


class Zmq(Rival):
    """Variants: what carries the message; that of weft unless it is named."""
    name, known, peers = "zmq", ("tcp", "ipc"), 2
    told = "no allreduce: one message of the size to the other process and back, a full round trip of DEALER sockets"

    def __init__(self, setting):
        self.setting, self.variants = setting, (setting.link,)
        self.program = setting.program("zmq_roundtrip", "ZeroMQ (libzmq3-dev)")
        if setting.lab:
            raise ValueError("zmq does not run in a lab: its two processes are on one host")

    def command(self, variant, _, size):
        return [self.program, *self.setting.counts(), variant, str(size)], {}

    def read(self, text):
        return last_row(text)


RIVALS = {rival.name: rival for rival in (Gloo, OpenMpi, OpenMpiTcp, Mpich, Zmq)}


def rivals(text, setting, peers):
    """Those named in "gloo:ring+bcube,openmpi-tcp", ready to run with each of so many processes."""
    found = []
    for word in text.split(","):
        name, _, variants = word.partition(":")
        if name not in RIVALS:
            raise ValueError(f"unknown rival '{name}'; known: {' '.join(RIVALS)}")
        if name in [rival.name for rival in found]:
            raise ValueError(f"rival {name} is named twice")
        rival = RIVALS[name](setting)
        if variants:
            chosen = tuple(variants.split("+"))
            for variant in chosen:
                if variant not in rival.known or chosen.count(variant) > 1:
                    raise ValueError(f"'{variant}' of {name}: expected one or more of {' '.join(rival.known)}")
            rival.variants = chosen
        if rival.peers is not None and peers != [rival.peers]:
            raise ValueError(f"{name} is between {rival.peers} processes: compare with -n {rival.peers} only")
        found.append(rival)
    return found
