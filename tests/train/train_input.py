# SPDX-License-Identifier: Apache-2.0
"""Bad input of `weft train` ends with status 2 and a text that says what is wrong."""
import os
import pathlib
import unittest

from trainer import folder, small_data, train


class BadInput(unittest.TestCase):
    def setUp(self):
        self.folder = folder()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.data = self.path / "data"
        small_data(self.data)

    def refused(self, words, *args, env=None):
        done = train(*args, env=env)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual([p.name for p in self.path.iterdir() if p.suffix in (".svg", ".json", ".part")], [])

    def file(self, text):
        path = self.path / "bad"
        path.write_text(text, encoding="utf-8")
        return path

    def test_data_that_cannot_be_used(self):
        for words, text in [
            ("the file is empty", ""),
            ("line 2, column 7: 'what' is no index:value pair", "1 1:1\n2 1:1 what\n"),
            ("all 2 rows have the label 1", "1 1:1\n1 2:1\n"),
            ("labels 1, 2, 3", "1 1:1\n2 2:1\n3 1:1\n"),
            ("the value is NaN", "1 1:nan\n2 2:1\n"),
        ]:
            with self.subTest(words):
                self.refused(words, "--data", self.file(text), "-n", 2)
        self.refused("No such file", "--data", self.path / "missing", "-n", 2)
        self.refused("--data FILE is missing", "-n", 2)

    def test_fewer_rows_than_peers(self):
        few = self.file("1 1:1\n2 2:1\n1 1:2\n")
        self.refused("3 rows, too few for 4 peers", "--data", few, "-n", 4)

    def test_options_that_do_not_fit(self):
        for words, *args in [
            ("nearest: --data", "--dat", "x"),
            ("neither \"auto\" nor a number", "--l2", "-1"),
            ("--l1", "--l1", "nan"),
            ("--steps", "--steps", "0"),
            ("file|shuffle|label", "--shards", "random"),
            ("fidelity", "--fidelity", "some"),
            ("batch", "--batch", "some"),
            ("batch 32 is above the 31 rows of a peer", "--batch", 32),
            ("did you mean levels", "--codec", "qsgd:level=3"),
            ("codec", "--codec", "gzip"),
            ("no key 'lrr', did you mean 'lr'", "--run", "lrr=1"),
            ("'gd' is no KEY=VALUE", "--run", "gd"),
            ("lr is given twice", "--run", "lr=1 lr=2"),
            ("codec has no value", "--run", "codec="),
            ("fidelity 'any', the choice is exact", "--run", "fidelity=any"),
            ("Not a directory", "--dump", self.data),
            ("must end in .svg", "--plot", self.path / "x.png"),
            ("same name 'a'", "--run", "name=a", "--run", "name=a lr=1"),
            ("No such file", "--plot", self.path / "none" / "x.svg"),
            ("No such file", "--json", self.path / "none" / "x.json"),
        ]:
            with self.subTest(args):
                self.refused(words, "--data", self.data, "-n", 2, *args)

    def test_what_a_later_run_cannot_do_is_told_before_the_first_starts(self):
        long = ["--run", "steps=9007199254740992", "--run"]
        for words, run in [
            ("run 'algo=zigzag': algo 'zigzag' is no algorithm of allreduce; nearest: ", "algo=zigzag"),
            ("nearest: ring", "algo=rin"),
            ("combines encodings", "codec=qsgd algo=ring"),
            ("did you mean diana", "optimizer=dianna"),
            ("unknown key \"alfa\" (did you mean alpha?)", "optimizer=diana:alfa=1"),
            ("lr \"fast\" is none of", "lr=fast"),
            ("take lr=theory", "optimizer=diana codec=qsgd:levels=7 lr=theory2019"),
            ("did you mean qsgd", "codec=qsdg"),
        ]:
            with self.subTest(run):
                self.refused(words, "--data", self.data, "-n", 2, "--plot", self.path / "x.svg", "--json",
                             self.path / "x.json", *long, run)

    def test_a_context_is_said_once(self):
        done = train("--data", self.data, "-n", 2, "--optimizer", "diana:alfa=1")
        self.assertEqual(done.stderr.count("optimizer"), 1, done.stderr)

    def test_methods_and_step_sizes_that_are_none(self):
        for words, *args in [
            ("adam", "--optimizer", "adam"),
            ("momentun", "--optimizer", "diana:momentun=0.9"),
            ("lr", "--lr", "fast"),
            ("gd", "--optimizer", "gd", "--batch", 5),
            ("give --l1 and --l2", "--optimizer", "diana:prox_l1=0.1"),
            ("another than the one that gaps are of", "--optimizer", "gd:prox_high=0"),
            ("another than the one that gaps are of", "--optimizer", "gd:prox_low=-1"),
            ("another than the one that gaps are of", "--optimizer", "diana:prox_group=0.1"),
            ("another than the one that gaps are of", "--optimizer", "sgd:decay=0.1"),
            ("zigzag", "--algo", "zigzag"),
        ]:
            with self.subTest(args):
                self.refused(words, "--data", self.data, "-n", 2, *args)

    def test_a_plot_without_gnuplot(self):
        env = dict(os.environ, PATH=str(self.path))
        self.refused("gnuplot-nox", "--data", self.data, "-n", 2, "--plot", self.path / "x.svg", env=env)


if __name__ == "__main__":
    unittest.main(verbosity=2)
