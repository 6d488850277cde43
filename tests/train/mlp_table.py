# SPDX-License-Identifier: Apache-2.0
"""mlp_table.py [PEERS [SEEDS [EPOCHS]]]: a network 784-128-10 on Fashion-MNIST by every method, in Markdown.
WEFT_TOOL names the program. Minibatches of 32 rows a peer; accuracy on the 10 000 test images,
mean over the seeds; dense sgd's step size serves all that send gradients, signum's is the best of
five, as the vote's length has nothing to do with the gradient's."""
import sys

from trainer import figures

FOLDER = "/usr/share/datasets/fashion-mnist/"
DATA = ("--data", FOLDER + "train-images-idx3-ubyte.gz", "--test", FOLDER + "t10k-images-idx3-ubyte.gz")
RUNS = [
    ("dense", "optimizer=sgd codec=raw"),
    ("DIANA, ternary", "optimizer=diana codec=qsgd:levels=1,bucket=512,norm=max"),
    ("QSGD, 4 bits", "optimizer=qsgd codec=qsgd:levels=7,bucket=512,norm=max"),
    ("TernGrad", "optimizer=terngrad codec=tern:clip=2.5"),
    ("EF, top-k 1 %", "optimizer=ef codec=topk:density=0.01 algo=topk_gather"),
    ("gTop-k 1 %", "optimizer=gtopk codec=topk:density=0.01"),
    ("gTop-k 0.1 %", "optimizer=gtopk codec=topk:density=0.001"),
    ("gTop-k 0.1 %, warm-up", "optimizer=gtopk:epoch=%d codec=topk:density=0.001"),
    ("EF, sign", "optimizer=ef codec=sign"),
    ("1-bit Adam", "optimizer=onebit_adam:warmup=%d lr=0.001"),
] + [(f"Signum {lr}", f"optimizer=signum schedule=sqrt lr={lr}") for lr in (0.0005, 0.001, 0.002, 0.004, 0.008)]

peers = int(sys.argv[1]) if len(sys.argv) > 1 else 4
seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
epoch = 60000 // peers // 32


def measure(seed):
    words = []
    for name, run in RUNS:
        words += ["--run", "name=" + name.replace(" ", "_") + " " + (run % epoch if "%d" in run else run)]
    return figures(*DATA, "-n", peers, "--link", "mem", "--shards", "shuffle", "--epochs", epochs, "--batch", 32,
                   "--lr", 0.1, "--seed", seed, *words, timeout=3000)["runs"]


found = [measure(s + 1) for s in range(seeds)]
print(f"| {peers} peers, {epochs} epochs | test accuracy, % | each seed | sent by a peer, Mbit | of dense |")
print("|---|---|---|---|---|")
dense = found[0][0]["trace"][-1]["sent_bits"]
for i, (name, _) in enumerate(RUNS):
    last = [runs[i]["trace"][-1] for runs in found]
    each = [100 * p["accuracy"] for p in last]
    print(f"| {name} | {sum(each) / len(each):.2f} | {' '.join('%.2f' % a for a in each)} "
          f"| {last[0]['sent_bits'] / 1e6:.1f} | {last[0]['sent_bits'] / dense:.4f} |")
