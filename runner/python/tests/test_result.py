"""What main returns and what becomes of it on the way to the supervisor."""

import unittest

from support import HostTest


class Result(HostTest):
    def returned(self, expression, before=""):
        return self.run_main("%s\ndef main(args):\n    return %s\n" % (before, expression))

    def test_plain_values_arrive_as_they_are(self):
        for value in (
            None,
            False,
            True,
            0,
            -7,
            2**63,
            1.5,
            "caf\u00e9 \u2028 \U0001f600 \"'\\\n\x00\x7f",
            [],
            {},
            [[1], {"a": None}],
        ):
            with self.subTest(value=value):
                self.assertEqual(value, self.returned(repr(value)).value)

    def test_values_that_json_has_no_word_for_become_readable(self):
        cases = {
            "pathlib.Path('/a/b')": "/a/b",
            "datetime.datetime(2024, 12, 8, 10, 30)": "2024-12-08T10:30:00",
            "{'b', 'a'}": ["a", "b"],
            "{1: 'x', None: 'y', (1, 2): 'z'}": {"1": "x", "null": "y", "[1,2]": "z"},
            "b'bytes\\xff'": "bytes\\xff",
            "Point(1, pathlib.Path('/p'))": {"x": 1, "y": "/p"},
            "Color.RED": "red",
            "decimal.Decimal('0.10')": "0.10",
            "collections.deque([1, 2])": [1, 2],
            "range(3)": [0, 1, 2],
            "ValueError('bad')": "ValueError: bad",
            "(1, 2)": [1, 2],
            "collections.Counter('a')": {"a": 1},
            "'\\udcff'": "\\udcff",
            "10 ** 25": hex(10**25),
            "object": "builtins.object",
        }
        before = (
            "import pathlib, datetime, decimal, collections, enum, dataclasses\n"
            "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: object\n"
            "class Color(enum.Enum):\n    RED = 'red'\n"
        )
        run = self.returned("[%s]" % ", ".join(cases), before)
        for expression, expected, actual in zip(cases, cases.values(), run.value):
            with self.subTest(expression=expression):
                self.assertEqual(expected, actual)

    def test_numbers_that_are_not_finite_become_null_with_a_warning(self):
        run = self.returned("{'success': True, 'a': [float('nan'), float('-inf'), 1.0]}")
        self.assertEqual({"success": True, "a": [None, None, 1.0]}, run.value)
        self.assertEqual("WARNING", run.logged[0][0])
        self.assertIn("NaN", run.logged[0][1])

    def test_a_result_that_contains_itself_is_a_failure_that_says_so(self):
        run = self.run_main("def main(args):\n    a = {}\n    a['a'] = [a]\n    return a")
        self.assertEqual({"success": False, "error": "the result contains itself"}, run.value)

    def test_a_result_that_is_too_deep_is_a_failure_that_says_so(self):
        run = self.run_main("def main(args):\n    a = []\n    for _ in range(5000): a = [a]\n    return a")
        self.assertIn("levels deep", run.value["error"])
        self.assertIs(False, run.value["success"])

    def test_a_result_over_one_mebibyte_is_a_failure_that_says_so(self):
        for expression in ("'x' * 1048577", "['\u00e9' * 600000]", "[1] * 600000"):
            with self.subTest(expression=expression):
                value = self.returned(expression).value
                self.assertEqual({"success": False, "error": "the result is larger than 1024 KiB"}, value)

    def test_a_result_of_nearly_one_mebibyte_arrives(self):
        run = self.returned("'x' * (1048576 - 40)")
        self.assertLessEqual(run.of_type("result")[0]["size"], 1048576)
        self.assertEqual(1048576 - 40, len(run.value))

    def test_a_value_whose_own_methods_fail_is_a_failure_that_names_the_error(self):
        run = self.returned("Odd()", "class Odd:\n    def __str__(self): raise KeyError('inside')")
        self.assertIs(False, run.value["success"])
        self.assertIn("KeyError: 'inside'", run.value["error"])

    def test_main_may_take_no_parameters(self):
        self.assertEqual([1], self.run_main("def main(): return [1]").value)

    def test_main_may_be_decorated_or_take_any_or_only_named_arguments(self):
        wrap = (
            "import functools\ndef wrap(f):\n    @functools.wraps(f)\n"
            "    def inner(*a, **k): return f(*a, **k)\n    return inner\n"
        )
        for source in (
            "def main(*args): return list(args)",
            "def main(*, args): return [args]",
            "class C:\n    def __call__(self, args): return [args]\nmain = C()",
            "class C:\n    def m(self, args): return [args]\nmain = C().m",
            wrap + "@wrap\ndef main(args): return [args]",
        ):
            with self.subTest(source=source):
                self.assertEqual([["a"]], self.run_main(source, "a").value)
        self.assertEqual([1], self.run_main(wrap + "@wrap\ndef main(): return [1]").value)
        self.assertEqual([1], self.run_main("class C:\n    def m(self): return [1]\nmain = C().m").value)

    def test_a_coroutine_is_run_to_its_end(self):
        source = "import asyncio\nasync def main(args):\n    await asyncio.sleep(0)\n    return {'success': True}"
        self.assertEqual({"success": True}, self.run_main(source).value)

    def test_a_generator_is_a_failure_because_nothing_ran(self):
        self.assertIn("generator", self.run_main("def main(args):\n    yield 1").value["error"])

    def test_a_file_without_main_is_a_failure_that_names_the_file(self):
        for source in ("x = 1", "main = 3"):
            error = self.run_main(source).value["error"]
            self.assertIn(str(self.root / "modules/sample/index.py"), error)


if __name__ == "__main__":
    unittest.main()
