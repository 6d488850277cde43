# SPDX-License-Identifier: Apache-2.0
"""Runs of `weft train` on small data: same bits everywhere, bits counted, figures, dumps, plots."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from trainer import children, figures, floats, folder, rank_of, small_data, steps_to, tool, train, wait_until

TERNARY = "qsgd:levels=1,bucket=8,norm=max"
DIM = 48


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        cls.data = cls.path / "data"
        cls.rows = small_data(cls.data, dim=DIM)

    def figures(self, *args, **kw):
        return figures("--data", self.data, "--l2", "auto", *args, **kw)

    def test_models_are_equal_on_all_peers_links_and_runs(self):
        for peers in 1, 2, 3, 4, 7:
            sums = set()
            for link in "tcp", "ipc", "mem", "tcp":
                done = self.figures("-n", peers, "--link", link, "--steps", 25, "--optimizer", "diana",
                                    "--codec", TERNARY, "--algo", "gather")
                got = done["runs"][0]["x_crc32c"]
                self.assertEqual(len(got), peers)
                sums.update(got)
            self.assertEqual(len(sums), 1, f"{peers} peers: {sums}")

    def test_other_seeds_draw_other_numbers(self):
        sums = {self.figures("-n", 2, "--link", "mem", "--steps", 5, "--seed", seed, "--optimizer",
                             "diana", "--codec", TERNARY)["runs"][0]["x_crc32c"][0] for seed in (1, 2)}
        self.assertEqual(len(sums), 2)

    def test_bits_are_those_of_the_closed_forms(self):
        peers, steps = 3, 10
        # A chunk of 16 elements: one byte for the form, two scales, 16 trits at 5 a byte.
        chunk = 8 * (1 + 2 * 4 + 4)
        whole = 8 * (1 + 6 * 4 + 10)
        dense = 32 * DIM
        share = (peers - 1) / peers
        done = self.figures("-n", peers, "--steps", steps, "--run", "codec=raw algo=ring",
                            "--run", f"optimizer=sgd codec={TERNARY} algo=gather",
                            "--run", f"optimizer=sgd codec={TERNARY} algo=scatter")
        want = [
            ("ring", dense, 2 * share * dense),
            ("gather", whole, (peers - 1) * whole),
            ("scatter", peers * chunk, share * (peers * chunk + dense)),
        ]
        for run, (algo, up, sent) in zip(done["runs"], want):
            last = run["trace"][-1]
            self.assertEqual(run["algo"], algo)
            self.assertEqual(last["up_bits"], steps * up, algo)
            self.assertAlmostEqual(last["sent_bits"], steps * sent, places=6, msg=algo)
            self.assertGreaterEqual(last["sent_bits_max"], last["sent_bits"])
            self.assertGreater(last["wire_bytes"] * 8, last["sent_bits"])

    def test_figures_have_the_documented_shape(self):
        done = self.figures("-n", 3, "--steps", 7, "--every", 3, "--run", "name=mine lr=0.1",
                            "--run", "steps=2")
        self.assertEqual(set(done), {"weft", "data", "peers", "problem", "runs"})
        self.assertEqual(done["data"]["rows"], 62)
        self.assertEqual(done["data"]["used"], 60)
        self.assertEqual(done["data"]["dim"], DIM)
        self.assertEqual(done["data"]["classes"], [3, 7])
        problem = done["problem"]
        self.assertAlmostEqual(problem["f0"], 0.6931471805599453, places=15)
        self.assertAlmostEqual(problem["L"] / problem["l2"], 100, places=9)
        self.assertEqual(problem["mu"], problem["l2"])
        self.assertGreaterEqual(problem["Lmax"], problem["L"] * (1 - 1e-12))
        self.assertLess(problem["fstar"], problem["f0"])
        mine, other = done["runs"]
        self.assertEqual((mine["name"], mine["lr"], other["name"]), ("mine", 0.1, "steps=2"))
        self.assertEqual([p["step"] for p in mine["trace"]], [0, 3, 6, 7])
        self.assertEqual([p["step"] for p in other["trace"]], [0, 2])
        self.assertEqual(len(mine["model"]), DIM)
        for point in mine["trace"]:
            self.assertEqual(set(point), {"step", "f", "gap", "grad_norm", "up_bits", "sent_bits",
                                          "sent_bits_max", "wire_bytes", "seconds", "gradient_seconds",
                                          "operation_seconds", "wait_seconds"})
            self.assertEqual(point["gradient_seconds"] > 0, point["step"] > 0)
            self.assertGreaterEqual(point["operation_seconds"], point["wait_seconds"])
            self.assertAlmostEqual(point["gap"], point["f"] - problem["fstar"], places=15)

    def test_a_target_ends_a_run(self):
        done = self.figures("-n", 2, "--link", "mem", "--every", 1, "--target", 1e-4)
        trace = done["runs"][0]["trace"]
        self.assertLessEqual(trace[-1]["gap"], 1e-4)
        self.assertGreater(trace[-2]["gap"], 1e-4)

    def test_l1_converges_to_its_own_minimum(self):
        done = self.figures("-n", 2, "--link", "mem", "--steps", 3000, "--l1", 0.01, "--optimizer",
                            "diana", "--codec", TERNARY, "--lr", "theory*4")
        run = done["runs"][0]
        self.assertLess(abs(run["trace"][-1]["gap"]), 1e-9)
        self.assertGreater(run["model"].count(0), 5)

    def test_minibatches_are_the_same_on_the_next_run(self):
        sums = {self.figures("-n", 2, "--link", link, "--steps", 50, "--optimizer", "sgd", "--batch", 4)
                ["runs"][0]["x_crc32c"][0] for link in ("mem", "mem", "tcp")}
        self.assertEqual(len(sums), 1)

    def test_a_run_that_diverges_says_where_and_the_others_go_on(self):
        done = train("--data", self.data, "-n", 2, "--l2", "auto", "--steps", 400, "--json", "-",
                     "--run", "name=wild optimizer=sgd lr=1e4", "--run", f"name=noisy optimizer=sgd lr=1e4 codec={TERNARY}",
                     "--run", "name=tame")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("run 'wild' diverged: f is not finite after step", done.stderr)
        self.assertIn("run 'noisy' diverged", done.stderr)
        wild, noisy, tame = json.loads(done.stdout)["runs"]
        self.assertGreater(wild["diverged"], 0)
        self.assertGreater(noisy["diverged"], 0)
        self.assertIsNone(tame["diverged"])
        self.assertLess(tame["trace"][-1]["gap"], 1e-3)

    def test_every_order_of_shards_has_the_same_minimum_of_the_same_rows(self):
        got = [figures("--data", self.data, "-n", 2, "--link", "mem", "--steps", 1, "--l2", 0.1,
                       "--shards", order) for order in ("file", "label", "shuffle")]
        for done in got[1:]:  # 62 rows on 2 peers: all are used
            self.assertAlmostEqual(done["problem"]["fstar"], got[0]["problem"]["fstar"], places=12)
        self.assertNotEqual(got[0]["problem"]["Lmax"], got[1]["problem"]["Lmax"])

    def test_a_dump_is_the_method_step_by_step(self):
        peers, steps = 3, 12
        out = self.path / "dump"
        done = self.figures("-n", peers, "--steps", steps, "--dump", out, "--optimizer", "diana",
                            "--codec", TERNARY)
        run = done["runs"][0]
        shapes = json.loads((out / "shapes.json").read_text())
        about = {key: shapes.pop(key) for key in list(shapes) if not isinstance(shapes[key], list)}
        self.assertEqual(set(about), {"name", "optimizer", "codec", "algo", "lr", "schedule", "alpha", "momentum", "l1", "l2",
                                      "n", "seed"})
        for key in "name", "optimizer", "codec", "lr", "schedule", "seed":
            self.assertEqual(about[key], run[key])
        self.assertEqual((about["n"], about["l1"], about["momentum"]), (peers, 0, 0))
        self.assertEqual(about["l2"], done["problem"]["l2"])
        self.assertGreater(about["alpha"], 0)
        self.assertEqual(shapes, {
            "x": [steps + 1, DIM], "g": [steps, peers, DIM], "h": [steps + 1, peers, DIM],
            "q": [steps, peers, DIM], "hbar": [steps + 1, DIM], "v": [steps, DIM],
            "xs": [peers, steps + 1, DIM]})
        v = {name: floats(out / f"{name}.f32") for name in shapes}
        row = lambda name, *at: v[name][DIM * sum(  # noqa: E731
            i * m for i, m in zip(at, [shapes[name][1], 1] if len(at) == 2 else [1])):][:DIM]
        for r in range(peers):
            for k in range(steps + 1):
                self.assertEqual(row("xs", r, k), row("x", k))
        self.assertEqual(row("x", steps), run["model"])
        self.assertEqual(row("x", 0), [0.0] * DIM)
        # At 0 every row weighs 1/2: the gradient of the first shard by hand.
        m = done["data"]["used"] // peers
        want = [sum(-s * a.get(j, 0) / 2 for s, a in self.rows[:m]) / m for j in range(DIM)]
        for got, expected in zip(row("g", 0, 0), want):
            self.assertAlmostEqual(got, expected, places=6)
        alpha = float(run["optimizer"].split("alpha=")[1].split(",")[0])
        for k in range(steps):
            mean_q = [sum(c) / peers for c in zip(*(row("q", k, r) for r in range(peers)))]
            for j in range(DIM):
                self.assertAlmostEqual(row("v", k)[j], row("hbar", k)[j] + mean_q[j], places=5)
                self.assertAlmostEqual(row("x", k + 1)[j], row("x", k)[j] - run["lr"] * row("v", k)[j], places=5)
                self.assertAlmostEqual(row("hbar", k + 1)[j],
                                       sum(row("h", k + 1, r)[j] for r in range(peers)) / peers, places=6)
            for r in range(peers):
                for got, h, q in zip(row("h", k + 1, r), row("h", k, r), row("q", k, r)):
                    self.assertAlmostEqual(got, h + alpha * q, places=5)

    def test_every_step_of_a_dump_obeys_the_laws_of_diana(self):
        """v' = beta v + hbar + mean q, x' = prox(x - lr v'), h' = h + alpha q, hbar = mean h, and q lies on
        the grid of its codec with the signs of g - h."""
        peers, steps, block = 3, 15, 8
        for levels, beta, l1 in (1, 0, 0.02), (7, 0.5, 0.01), (3, 0.9, 0):
            with self.subTest(levels=levels, beta=beta, l1=l1):
                out = self.path / f"laws-{levels}"
                run = self.figures("-n", peers, "--link", "mem", "--steps", steps, "--dump", out, "--l1", l1, "--optimizer",
                                   f"diana:momentum={beta}", "--lr", 0.3, "--codec",
                                   f"qsgd:levels={levels},bucket={block},norm=max")["runs"][0]
                alpha = float(run["optimizer"].split("alpha=")[1].split(",")[0])
                x, g, h, q, hbar, v = ([row for row in zip(*[iter(floats(out / f"{name}.f32"))] * DIM)]
                                       for name in ("x", "g", "h", "q", "hbar", "v"))
                kept = 0
                for k in range(steps):
                    for j in range(DIM):
                        mean_q = sum(q[k * peers + r][j] for r in range(peers)) / peers
                        before = v[k - 1][j] if k > 0 else 0
                        self.assertAlmostEqual(v[k][j], beta * before + hbar[k][j] + mean_q, places=5)
                        z = x[k][j] - 0.3 * v[k][j]
                        soft = max(abs(z) - 0.3 * l1, 0) * (1 if z > 0 else -1)
                        self.assertAlmostEqual(x[k + 1][j], soft, places=5)
                        self.assertAlmostEqual(hbar[k + 1][j], sum(h[(k + 1) * peers + r][j] for r in range(peers)) / peers,
                                               places=6)
                    for r in range(peers):
                        at = k * peers + r
                        delta = [a - b for a, b in zip(g[at], h[at])]
                        for j in range(DIM):
                            self.assertAlmostEqual(h[at + peers][j], h[at][j] + alpha * q[at][j], places=5)
                            scale = max(map(abs, delta[j // block * block:j // block * block + block]))
                            level = q[at][j] / scale * levels if scale > 0 else 0
                            self.assertAlmostEqual(level, round(level), places=3)
                            self.assertLessEqual(abs(level), levels + 1e-3)
                            kept += round(level) != 0
                            self.assertTrue(round(level) == 0 or (level > 0) == (delta[j] > 0), (level, delta[j]))
                self.assertGreater(kept, steps * peers * DIM / 20)

    def test_a_dump_with_a_reply_codec_has_the_mean_of_all_memories(self):
        peers, steps = 3, 9
        out = self.path / "replies"
        self.figures("-n", peers, "--link", "mem", "--steps", steps, "--dump", out, "--optimizer", "diana", "--algo",
                     "scatter", "--codec", "qsgd:levels=7,bucket=8,norm=max", "--reply-codec",
                     "qsgd:levels=7,bucket=8,norm=max")
        h, hbar = ([row for row in zip(*[iter(floats(out / f"{name}.f32"))] * DIM)] for name in ("h", "hbar"))
        self.assertEqual(len(hbar), steps + 1)
        for k in range(1, steps + 1):
            self.assertTrue(all(any(h[k * peers + r]) for r in range(peers)))
            for j in range(DIM):
                self.assertAlmostEqual(hbar[k][j], sum(h[k * peers + r][j] for r in range(peers)) / peers, places=6)

    def test_a_dump_has_messages_only_of_methods_that_hold_them(self):
        for holds, *words in [(True, "--optimizer", "sgd"),
                              (True, "--optimizer", "terngrad", "--codec", "tern:clip=2.5", "--lr", 0.1),
                              (True, "--optimizer", "ef21", "--codec", "topk:k=3"),
                              (False, "--optimizer", "ef", "--codec", "topk:k=3", "--lr", 0.1),
                              (False, "--optimizer", "signum", "--lr", 0.01),
                              (False, "--optimizer", "local", "--batch", 4, "--lr", 1)]:
            with self.subTest(words):
                out = self.path / f"holds-{words[1]}"
                self.figures("-n", 2, "--link", "mem", "--steps", 3, "--dump", out, *words)
                self.assertEqual("q" in json.loads((out / "shapes.json").read_text()), holds)
                self.assertEqual((out / "q.f32").exists(), holds)

    def test_a_schedule_leaves_lr_as_it_was_given(self):
        out = self.path / "schedule"
        run = self.figures("-n", 2, "--link", "mem", "--steps", 5, "--dump", out, "--lr", 0.25, "--schedule",
                           "cosine:steps=5")["runs"][0]
        about = json.loads((out / "shapes.json").read_text())
        self.assertEqual((run["lr"], run["schedule"]), (0.25, "cosine:steps=5"))
        self.assertEqual((about["lr"], about["schedule"]), (0.25, "cosine:steps=5"))

    def test_a_step_size_above_the_bound_is_told_though_a_warm_up_begins_below(self):
        done = train("--data", self.data, "-n", 2, "--link", "mem", "--steps", 2, "--lr", "theory*50", "--schedule",
                     "constant:warmup=100")
        self.assertIn("is 50 times theory's bound", done.stderr)

    def test_an_epoch_of_local_steps_is_one_pass(self):
        # 62 rows on 2 peers, 31 each: 7 minibatches of 4 an epoch.
        for epochs, local, steps in (4, 3, 9), (4, 7, 4), (1, 16, 1), (3, 1, 21):
            run = self.figures("-n", 2, "--link", "mem", "--epochs", epochs, "--batch", 4, "--optimizer",
                               f"local:local={local}", "--lr", 1)["runs"][0]
            self.assertEqual((run["epochs"], run["steps"]), (epochs, steps))

    def test_several_runs_dump_into_a_folder_each(self):
        out = self.path / "dumps"
        self.figures("-n", 2, "--steps", 2, "--dump", out, "--run", "lr=0.1", "--run", "lr=0.2")
        self.assertEqual(sorted(p.name for p in out.iterdir()), ["1", "2"])
        self.assertEqual(json.loads((out / "2" / "shapes.json").read_text())["x"], [3, DIM])
        self.assertFalse((out / "1" / "xs.part").exists())

    def test_a_plot_names_its_runs(self):
        picture = self.path / "gap.svg"
        done = train("--data", self.data, "-n", 2, "--link", "mem", "--steps", 40, "--plot", picture,
                     "--run", "name=Ada's", "--run", f"name=Bo optimizer=diana codec={TERNARY}")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = picture.read_text(encoding="utf-8")
        self.assertIn("<svg", text)
        self.assertIn("</svg>", text)
        for word in "Ada's", "Bo", "steps", "Mbit sent by a peer", "seconds", "gap f":
            self.assertIn(word, text.replace("&apos;", "'").replace("&#39;", "'"))
        self.assertNotIn("accuracy", text)
        done = train("--data", self.data, "--test", self.data, "-n", 2, "--link", "mem", "--steps", 40, "--plot", picture)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("accuracy on the test data", picture.read_text(encoding="utf-8"))

    def test_a_run_that_loses_a_peer_leaves_the_finished_ones(self):
        out, table, picture = self.path / "lost", self.path / "lost.json", self.path / "lost.svg"
        table.write_text("before", encoding="ascii")
        process = subprocess.Popen(
            [tool, "train", "--data", self.data, "-n", "2", "--json", table, "--plot", picture, "--dump", out,
             "--run", "name=first steps=3", "--run", "name=later steps=1000000000"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: (out / "2").exists() or process.poll() is not None)
        self.assertEqual(table.read_text(encoding="ascii"), "before")
        self.assertFalse(picture.exists())
        os.kill(next(pid for pid in children(process.pid) if rank_of(pid) == 1), signal.SIGKILL)
        text, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, errors)
        self.assertIn("rank 1: was killed", errors)
        self.assertEqual([run["name"] for run in json.loads(table.read_text(encoding="ascii"))["runs"]], ["first"])
        self.assertIn("first", text)
        self.assertNotIn("later", text)
        self.assertIn("</svg>", picture.read_text(encoding="utf-8"))
        self.assertEqual(list(self.path.glob("*.part")), [])

    def test_an_interrupted_command_leaves_no_files(self):
        for link in "mem", "tcp":
            out, table, picture = self.path / f"stop-{link}", self.path / "stop.json", self.path / "stop.svg"
            process = subprocess.Popen(
                [tool, "train", "--data", self.data, "-n", "2", "--link", link, "--json", table, "--plot", picture,
                 "--dump", out, "--steps", "1000000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
            wait_until(lambda: (out / "xs.part").exists() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            self.assertEqual((process.returncode, errors), (130, ""), link)
            self.assertFalse(table.exists() or picture.exists())
            self.assertEqual(list(self.path.glob("stop.*")), [])

    def test_peers_that_were_asked_for_different_things_are_told(self):
        for words, *differing in [
            ("the options differ: rank 1 has --steps 30, rank 0 20", ["--steps", 20], ["--steps", 30]),
            ("the options differ: rank 1 has --l2 auto, rank 0 0.5", ["--l2", 0.5], ["--l2", "auto"]),
            ("rank 1 has --shards label, rank 0 file", [], ["--shards", "label"]),
            ("in run 2: rank 1 has --batch 5, rank 0 full", ["--run", "name=a", "--run", "optimizer=sgd"],
             ["--run", "name=a", "--run", "optimizer=sgd batch=5"]),
            ("rank 1 has --run 2 times, rank 0 1 times", [], ["--run", "name=a", "--run", "name=b"]),
            ("rank 1 has --dump given, rank 0 none", [], ["--dump", self.path / "one-sided"]),
        ]:
            with self.subTest(words), folder() as place:
                peers = [subprocess.Popen(
                    [tool, "train", "--data", self.data, *map(str, more)], text=True, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, env=dict(os.environ, WEFT_RANK=str(rank), WEFT_SIZE="2",
                                                     WEFT_MEET=f"file://{place}"))
                    for rank, more in enumerate(differing)]
                for peer in peers:
                    text, errors = peer.communicate(timeout=60)
                    self.assertEqual((peer.returncode, text), (2, ""), errors)
                    self.assertIn(words, errors)

    def test_a_group_of_one_trains_and_plots_without_traffic(self):
        done = train("--data", self.data, "-n", 1, "--steps", 100, "--plot", self.path / "one.svg")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIsNotNone(steps_to(figures("--data", self.data, "-n", 1, "--l2", 1)["runs"][0], 1e-6))


if __name__ == "__main__":
    unittest.main(verbosity=2)
