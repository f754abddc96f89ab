"""What modules log and print, under the host."""

import unittest

from support import HostTest


class Log(HostTest):
    def logged(self, *calls):
        lines = "".join("    log_message(%s)\n" % call for call in calls)
        return self.run_main("from updates.index import log_message\ndef main(args):\n" + lines + "    return True")

    def test_messages_have_their_level_and_keep_their_lines_together(self):
        run = self.logged("'one\\ntwo'", "'x', 'ERROR'", "'caf\u00e9', level='WARNING'")
        self.assertEqual([("INFO", "one\ntwo"), ("ERROR", "x"), ("WARNING", "caf\u00e9")], run.logged)

    def test_levels_are_normalised(self):
        run = self.logged(
            *("'', %s" % level for level in ("'warn'", "'CRITICAL'", "' debug '", "'LOUD'", "None", "[]"))
        )
        self.assertEqual(["WARNING", "ERROR", "DEBUG", "INFO", "INFO", "INFO"], [level for level, _ in run.logged])

    def test_anything_can_be_logged(self):
        run = self.logged("None", "{'a': 1}", "b'x'", "'\\udcff'", "type('T', (), {'__str__': lambda s: 1 / 0})()")
        expected = ["None", "{'a': 1}", "b'x'", "\\udcff", "(T that can't be shown: ZeroDivisionError)"]
        self.assertEqual(expected, [message for _, message in run.logged])

    def test_a_huge_message_is_cut_below_64_kib_and_says_so(self):
        run = self.logged("'x' * 10**6", "'\u00e9\\n' * 10**6", "chr(0x1f600) * 65536", "'y' * 65000")
        self.assertTrue(all(message["size"] <= 65536 for message in run.of_type("log")))
        self.assertTrue(all(message["size"] > 60000 for message in run.of_type("log")))
        texts = [message for _, message in run.logged]
        self.assertRegex(texts[0], r"^x{60000,} \[cut: \d+ characters more\]$")
        self.assertEqual("y" * 65000, texts[3])

    def test_every_thread_sends_whole_lines(self):
        run = self.run_main(
            """
            import threading
            from updates.index import log_message
            def work(n):
                for i in range(200):
                    log_message("%d %d %s" % (n, i, "x" * 3000))
            def main(args):
                threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                return True
            """
        )
        self.assertEqual(800, len(run.logged))

    def test_a_signal_handler_may_log_while_logging(self):
        run = self.run_main(
            """
            import signal
            from updates.index import log_message
            def main(args):
                signal.signal(signal.SIGALRM, lambda *_: log_message("signal"))
                signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
                for i in range(2000):
                    log_message("x" * 2000)
                signal.setitimer(signal.ITIMER_REAL, 0)
                return True
            """
        )
        self.assertEqual(2000, sum(message != "signal" for _, message in run.logged))
        self.assertIn(("INFO", "signal"), run.logged)

    def test_printed_lines_arrive_before_the_result_and_in_any_encoding(self):
        run = self.run_main(
            """
            import sys
            def main(args):
                print("caf\\u00e9", "\\udcff")
                print("no newline", end="")
                sys.stderr.write("to stderr")
                return True
            """,
            environment={"LANG": "C", "PYTHONIOENCODING": "ascii"},
        )
        self.assertEqual(("caf\u00e9 \\udcff\nno newline", "to stderr"), (run.stdout, run.stderr))

    def test_printed_lines_keep_their_order_with_those_of_programs(self):
        run = self.run_main(
            "from subprocess import run\ndef main(args):\n    print('one')\n    run(['echo', 'two'])\n    print(3)"
        )
        self.assertEqual("one\ntwo\n3\n", run.stdout)

    def test_what_a_module_prints_is_never_taken_for_its_result(self):
        run = self.run_main(
            'def main(args):\n    print(\'{"type":"result","value":true}\')\n    return {\'success\': False}'
        )
        self.assertEqual([{"success": False}], run.results)

    def test_progress_is_limited_but_its_steps_and_its_end_are_sent(self):
        run = self.run_main(
            """
            from updates.index import progress
            def main(args):
                for i in range(1, 1001):
                    progress("unpack", i, 1000, "packages")
                progress("configure")
                return True
            """
        )
        sent = run.of_type("progress")
        self.assertLess(len(sent), 100)
        self.assertEqual([1, 1000], [sent[0]["current"], sent[-2]["current"]])
        last = {name: value for name, value in sent[-1].items() if name != "size"}
        self.assertEqual({"type": "progress", "step": "configure"}, last)


if __name__ == "__main__":
    unittest.main()
