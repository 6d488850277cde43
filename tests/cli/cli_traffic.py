# SPDX-License-Identifier: Apache-2.0
"""Bytes counted at the sockets of compressed allreduces, against what the schemes say: payload equal, framing below 1 % at 4 MiB."""
import array
import json
import math
import os
import random
import tempfile

from program import check, weft

COUNT = 1 << 20  # 4 MiB of float32
HEADER = 64
root = tempfile.TemporaryDirectory()
os.chdir(root.name)
draws = random.Random(1)
base = array.array("f", (draws.random() - 0.5 for _ in range(COUNT)))
for rank in range(16):
    turned = base[rank * 4099:] + base[:rank * 4099]
    with open(f"in{rank}.f32", "wb") as out:
        turned.tofile(out)


def sent(peers, algo, codec, *words):
    weft("call", "allreduce", "-n", peers, "--link", "mem", "--in", "in%d.f32", "--out", "out%d.f32", "--algo", algo,
         *(["--codec", codec] if codec else []), "--sent", "sent.json", *words)
    with open("sent.json") as file:
        said = json.load(file)
    for rank in said["ranks"]:
        frames = rank["wire_bytes_sent"] - rank["body_bytes_sent"]
        if peers > 1 and rank["body_bytes_sent"] > COUNT // 8:
            check(frames < 0.01 * rank["body_bytes_sent"], f"{algo} P={peers}: {frames} bytes around {rank['body_bytes_sent']}")
    return said


def near(got, want, slack, what):
    check(abs(got - want) <= slack, f"{what}: {got} bytes, not {want} (up to {slack})")


def width(levels, addends):
    return math.ceil(math.log2(2 * levels * addends + 1))


for peers in (2, 3, 4, 8, 16):
    others = peers - 1
    # Relay: every encoding goes to everybody.
    for rank in sent(peers, "gather", "qsgd:levels=7,bucket=512")["ranks"]:
        check(rank["body_bytes_sent"] <= others * (COUNT // 2 + COUNT // 512 * 4 + rank["lanes"]), f"gather P={peers}: {rank}")
    total = sum(r["body_bytes_sent"] for r in sent(peers, "gather", "qsgd:levels=7,bucket=512")["ranks"])
    said = sent(peers, "gather", "qsgd:levels=7,bucket=512")["ranks"]
    check(total == others * sum(r["encoded_bytes"] for r in said), f"gather P={peers}: {total} of {said}")

    # Direct scatter-reduce: (P-1)/P (b + 32) bits, and with a reply codec (b + c).
    edges = 64 * peers * peers  # bytes of partial blocks and form bytes, of each peer's spans
    up = COUNT / 2 + COUNT / 512 * 4
    mean = sum(r["body_bytes_sent"] for r in sent(peers, "scatter", "qsgd:levels=7,bucket=512")["ranks"]) / peers
    near(mean, others / peers * (up + 4 * COUNT), edges, f"scatter P={peers}")
    said = sent(peers, "scatter", "qsgd:levels=7,bucket=512", "--reply-codec", "qsgd:levels=127,bucket=512")
    check(said["fidelity"] == "requantized", said["fidelity"])
    mean = sum(r["body_bytes_sent"] for r in said["ranks"]) / peers
    near(mean, others / peers * (up + COUNT + COUNT / 512 * 4), edges, f"scatter with replies P={peers}")

    # Shared scale around the ring: integers that grow. Agreement on the scales comes on top.
    for levels, bucket in ((1, 4096), (7, 4096)):
        said = sent(peers, "shared:over=ring", f"qsgd:levels={levels},bucket={bucket}")
        mean = sum(r["body_bytes_sent"] for r in said["ranks"]) / peers
        bits = (sum(width(levels, t) for t in range(1, peers)) + others * width(levels, peers)) / peers
        if levels == 1:  # of one addend five trits a byte
            bits -= (width(1, 1) - 1.6) / peers
        scales = 8 * COUNT // bucket * max(math.ceil(math.log2(peers)) + 1, 2 * others)
        check(mean >= bits / 8 * COUNT, f"shared s={levels} P={peers}: {mean} bytes, {bits} bits an element")
        check(mean <= bits / 8 * COUNT + scales + edges, f"shared s={levels} P={peers}: {mean} bytes, {bits} bits an element")

    # A vote: a bit each way.
    for rank in sent(peers, "vote", None)["ranks"]:
        most = 2 * others / peers * COUNT / 8 + 16 * 2 * others * rank["lanes"] + 64 * others
        check(rank["body_bytes_sent"] <= most, f"vote P={peers}: {rank['body_bytes_sent']} bytes, at most {most}")

    # Sparse: k pairs of 8 bytes a hop.
    k = 1000
    pairs = 5 + 8 * k
    said = sent(peers, "gtopk_butterfly", f"topk:k={k},index=plain")
    check(said["fidelity"] == "merged", said["fidelity"])
    if peers & (peers - 1) == 0:
        for rank in said["ranks"]:
            check(rank["body_bytes_sent"] == int(math.log2(peers)) * pairs, f"gtopk_butterfly P={peers}: {rank}")
    tree = sent(peers, "gtopk_tree", f"topk:k={k},index=plain")["ranks"]
    check(sum(r["body_bytes_sent"] for r in tree) == 2 * others * pairs, f"gtopk_tree P={peers}: {tree}")
    check(tree[0]["body_bytes_sent"] == math.ceil(math.log2(peers)) * pairs, f"gtopk_tree P={peers}: {tree[0]}")
    for rank in sent(peers, "topk_gather", f"topk:k={k},index=plain")["ranks"]:
        check(rank["body_bytes_sent"] == others * pairs, f"topk_gather P={peers}: {rank}")
    split = sent(peers, "oktopk", f"topk:k={k},index=plain")["ranks"]
    check(all(r["body_bytes_sent"] <= 6 * 4 * k + 10 * 2 * others for r in split), f"oktopk P={peers}: {split}")
