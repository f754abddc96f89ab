"""Requests and replies, and what happens when the other end is gone."""

import json
import socket
import sys
import threading
import unittest

from support import SDK, HostTest

sys.path.insert(0, str(SDK))

from updates import _channel, _decode, _encode

BACKUP = """
from updates.utils.state_manager import StateManager
def main(args):
    return [StateManager().backup_module_state("sample", files=["/etc/x"])]
"""


class Requests(HostTest):
    def test_a_refusal_is_false_and_its_sentence_is_logged_as_an_error(self):
        text = "declare /etc/x under configuration.backup_paths"
        run = self.run_main(BACKUP, replies={"state.backup": ("error", text)})
        self.assertEqual(([False], [("ERROR", text)]), (run.value, run.logged))

    def test_a_channel_that_closes_instead_of_a_reply_is_an_error_and_no_hang(self):
        run = self.run_main(BACKUP, close_after="state.backup")
        self.assertEqual(74, run.status)
        self.assertIn("[ERROR] state.backup: the runner closed the channel", run.stdout)
        self.assertIn("the result could not be delivered", run.stderr)

    def test_requests_of_several_threads_each_get_their_own_reply(self):
        run = self.run_main(
            """
            import concurrent.futures
            from updates.utils.version_control import list_module_versions
            def main(args):
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    return list(pool.map(list_module_versions, map(str, range(50))))
            """,
            replies={"version.list": ("ok", [{"tag": "t"}])},
        )
        self.assertEqual([[{"tag": "t"}]] * 50, run.value)
        self.assertEqual(list(range(1, 51)), [message["id"] for message in run.of_type("request")])

    def test_an_oversized_or_circular_request_is_refused_before_it_is_sent(self):
        run = self.run_main(
            """
            from updates.utils.state_manager import StateManager
            def main(args):
                loop = {}
                loop["loop"] = loop
                backup = StateManager().backup_module_state
                return [backup("a", files=["/x" * 40000]), backup("a", databases=[loop])]
            """
        )
        self.assertEqual(([False, False], []), (run.value, run.requests))
        self.assertIn("larger than 64 KiB", run.logged[0][1])
        self.assertIn("contains itself", run.logged[1][1])

    def test_a_descriptor_that_the_module_reused_is_not_written_to(self):
        run = self.run_main(
            """
            import os
            def main(args):
                path = os.path.join(os.path.dirname(__file__), "precious")
                os.closerange(3, 100)
                for _ in range(100):
                    os.open(path, os.O_CREAT | os.O_WRONLY)
                return {"success": True}
            """
        )
        self.assertEqual(([], 74), (run.results, run.status))
        self.assertEqual("", (self.root / "modules/sample/precious").read_text())


class ReplyOrder(unittest.TestCase):
    def test_lines_in_pieces_and_other_messages_do_not_disturb_a_reply(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            channel = _channel.Channel(theirs.fileno())

            def answer():
                ours.recv(65536)
                ours.sendall(
                    b'{"type":"start","invocation":{}}\n{"type":"news"}\n[]\n{"type":"reply","id":9,"ok":0}\n{"ty'
                )
                ours.sendall(b'pe":"reply","id":1,"ok":{"a":"\\u00e9"}}\n')

            thread = threading.Thread(target=answer)
            thread.start()
            self.assertEqual({"a": "\u00e9"}, channel.request("state.info", {}))
            thread.join()

    def test_a_line_that_is_not_json_is_an_error(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(b"hello\n")
            with self.assertRaisesRegex(_channel.ChannelError, "not JSON"):
                _channel.Channel(theirs.fileno()).request("state.info", {})


class Coding(unittest.TestCase):
    VALUES = (None, True, -1.5e300, 1e16, '\u00e9"\\/\x07\u2028', [1, [2, {}]], {"": [], "a": {"b": None}}, 2**64 - 1)

    def test_what_is_written_is_what_json_reads(self):
        for value in self.VALUES:
            self.assertEqual(value, json.loads(_encode.encode(value, 1000)[0]))

    def test_what_json_writes_is_read_the_same(self):
        for value in self.VALUES:
            self.assertEqual(value, _decode.loads(" \n" + json.dumps(value) + "\n"))

    def test_what_json_refuses_is_refused_with_its_message(self):
        for text in ("", "{", "[1,]", "1 2", "nul", "{'a': 1}"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                _decode.loads(text)


if __name__ == "__main__":
    unittest.main()
