# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of `weft train`: a run that is cut, or killed, and gone on with is the whole run."""
import os
import pathlib
import signal
import subprocess
import unittest

from trainer import children, figures, folder, rank_of, small_data, tool, train, wait_until

TERNARY = "qsgd:levels=1,bucket=8,norm=max"
METHODS = [
    ["--optimizer", "diana:momentum=0.5", "--codec", TERNARY, "--lr", "theory*2"],
    ["--optimizer", "diana", "--codec", TERNARY, "--reply-codec", TERNARY, "--algo", "scatter"],
    ["--optimizer", "diana:state=f64", "--codec", TERNARY],
    ["--optimizer", "vr_diana:period=5", "--codec", TERNARY, "--batch", 4],
    ["--optimizer", "gtopk:momentum=0.5,correction=yes", "--codec", "topk:k=6", "--lr", 0.05],
    ["--optimizer", "signum", "--lr", 0.01, "--schedule", "cosine:steps=40,warmup=5", "--batch", 4],
    ["--optimizer", "onebit_adam:warmup=15", "--lr", 0.01, "--batch", 4],
    ["--optimizer", "local:local=3,momentum=0.5", "--codec", "topk:k=6", "--lr", 0.7, "--batch", 4],
]


class Checkpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = pathlib.Path(cls.folder.name)
        cls.data = cls.path / "data"
        small_data(cls.data)
        cls.common = ["--data", cls.data, "--l2", "auto", "--link", "mem", "-n", 3]

    def figures(self, *args, **kw):
        return figures(*self.common, *args, **kw)["runs"][0]

    def test_a_run_that_is_cut_and_gone_on_with_is_the_whole_run(self):
        for i, method in enumerate(METHODS):
            with self.subTest(method=method[1]):
                file = self.path / f"cut{i}"
                whole = self.figures(*method, "--steps", 40)
                self.figures(*method, "--steps", 17, "--save", file)
                rest = self.figures(*method, "--steps", 40, "--load", file)
                self.assertEqual(rest["x_crc32c"], whole["x_crc32c"])
                self.assertEqual(rest["trace"][0]["step"], 17)
                self.assertEqual(rest["trace"][-1]["f"], whole["trace"][-1]["f"])

    def cut_down(self, link, file, victim):
        """A long run is killed, or one rank of it, once every rank has saved twice; it goes on from what is there."""
        words = ["--data", self.data, "--l2", "auto", "-n", 3, "--link", link, "--steps", 1000, *METHODS[0]]
        self.assertEqual(list(self.path.glob(file.name + ".*")), [])
        with subprocess.Popen([tool, "train", *map(str, words), "--save", str(file), "--save-every", "7"], text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            wait_until(lambda: all(os.path.exists(f"{file}.{r}.before") for r in range(3)) or run.poll() is not None)
            self.assertIsNone(run.poll(), "it ended before it could be killed")
            if victim is None:
                run.kill()
            else:
                os.kill(next(pid for pid in children(run.pid) if rank_of(pid) == victim), signal.SIGKILL)
            _, errors = run.communicate(timeout=60)
        if victim is None:
            self.assertEqual(run.returncode, -signal.SIGKILL)
        else:
            self.assertGreater(run.returncode, 0, errors)
            self.assertIn(f"rank {victim}", errors)
        rest = figures(*words, "--load", file)["runs"][0]
        first = rest["trace"][0]["step"]
        self.assertEqual(first % 7, 0)
        self.assertTrue(7 <= first < 1000, first)
        return rest["x_crc32c"]

    def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(self):
        whole = self.figures(*METHODS[0], "--steps", 1000)["x_crc32c"]
        for attempt in range(3):
            self.assertEqual(self.cut_down("mem", self.path / f"killed{attempt}", None), whole, f"attempt {attempt}")

    def test_a_run_one_process_of_which_is_killed_goes_on_from_its_last_checkpoint(self):
        whole = self.figures(*METHODS[0], "--steps", 1000)["x_crc32c"]
        for link, victim in ("ipc", 1), ("tcp", 0), ("ipc", 2):
            with self.subTest(link=link, victim=victim):
                self.assertEqual(self.cut_down(link, self.path / f"victim{victim}", victim), whole)

    def test_more_and_fewer_peers_go_on(self):
        method = METHODS[0][:-2]
        file = self.path / "others"
        self.figures(*method, "--steps", 30, "--save", file)
        for peers in 1, 2, 5:
            done = figures("--data", self.data, "--l2", "auto", "--link", "mem", "-n", peers, *method,
                           "--steps", 400, "--load", file)["runs"][0]
            self.assertEqual(len(set(done["x_crc32c"])), 1)
            self.assertEqual(done["trace"][0]["step"], 30)
            self.assertLess(done["trace"][-1]["gap"], done["trace"][0]["gap"] / 10)

    def test_what_cannot_be_gone_on_with_is_told_by_name(self):
        file = self.path / "bad"
        self.figures(*METHODS[0], "--steps", 3, "--save", file)
        for r in range(3):
            pathlib.Path(f"{file}.{r}.before").unlink(missing_ok=True)
        data = bytearray((self.path / "bad.1").read_bytes())
        data[len(data) // 2] ^= 1
        (self.path / "bad.1").write_bytes(data)
        for words, *args in [
            (["bad.1", "damaged"], "--load", file, *METHODS[0]),
            (["none.0", "No such file"], "--load", self.path / "none", *METHODS[0]),
            (["go with one run"], "--load", file, "--run", "name=a", "--run", "name=b"),
            (["--save-every without --save"], "--save-every", 3),
            (["nowhere"], "--save", self.path / "nowhere" / "x", *METHODS[0], "--steps", 3),
        ]:
            done = train(*self.common, *args)
            self.assertNotEqual(done.returncode, 0, args)
            for word in words:
                self.assertIn(word, done.stderr)

    def test_a_step_above_the_bound_is_told(self):
        done = train(*self.common, "--steps", 2, "--optimizer", "diana", "--codec", TERNARY, "--lr", "theory*8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("8 times theory's bound", done.stderr)
        done = train(*self.common, "--steps", 2, "--optimizer", "diana", "--codec", TERNARY)
        self.assertNotIn("bound", done.stderr)


if __name__ == "__main__":
    unittest.main()
