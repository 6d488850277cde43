# SPDX-License-Identifier: Apache-2.0
"""Known figures of the reference problem: mushrooms, 10 peers, file order, condition number 100,
full batches. Each row: name, run, gamma L, steps to 1e-3, 1e-6, 1e-12, own Mbit to 1e-12, floor;
None: not reached, or not known."""

FSTAR = 0.217159361878
PEERS = 10
INF = "qsgd:levels=1,bucket=0,norm=max"
INF16 = "qsgd:levels=1,bucket=16,norm=max"
TWO = "qsgd:levels=1,bucket=0,norm=2"
S11 = "qsgd:levels=11,bucket=0,norm=2"

ROWS = [
    ("GD", "optimizer=gd", 1.98, 60, 200, 510, 1.83, None),
    ("DIANA-2019", f"optimizer=diana codec={INF} lr=theory2019", 0.72, 150, 540, 1420, 0.235, None),
    ("DIANA-block16", f"optimizer=diana codec={INF16}", 0.441, 240, 870, 2290, 0.923, None),
    ("DIANA-block16-x8", f"optimizer=diana codec={INF16} lr=theory*8", 3.53, 40, 120, 300, 0.121, None),
    ("DIANA-momentum", f"optimizer=diana:momentum=0.95 codec={INF16} lr=theory*4", 0.088, 110, 240, 520,
     0.209, None),
    ("DIANA-QSGD11", f"optimizer=diana codec={S11}", 0.561, 190, 690, 1800, 0.584, None),
    ("DIANA-p2", f"optimizer=diana codec={TWO}", 0.110, 950, None, None, None, 2.3e-5),
    ("QSGD11", f"optimizer=sgd codec={S11}", 0.793, 140, None, None, None, 4.6e-5),
    ("QSGD1", f"optimizer=sgd codec={TWO}", 0.270, 580, None, None, None, 8.0e-4),
    ("TernGrad", f"optimizer=sgd codec={INF}", 0.426, 275, None, None, None, 2.0e-4),
    ("TernGrad-small", f"optimizer=sgd codec={INF} lr=0.0758", 0.198, 540, None, None, None, 8.9e-5),
]
