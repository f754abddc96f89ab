"""The adblock module against a real HTTP server, unbound's own checker, and a real unbound where there is one."""

import http.server
import os
import shutil
import subprocess
import threading
import time
import unittest

from support import ModuleTest


class Lists(http.server.BaseHTTPRequestHandler):
    """Serves the server's `pages`: `{path: (body, etag)}`, a number for an error, or a string for a redirect."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        page = self.server.pages.get(self.path, 404)
        self.server.seen.append((self.path, self.headers.get("If-None-Match")))
        if isinstance(page, int):
            self.answer(page, b"")
        elif isinstance(page, str):
            self.answer(302, b"", Location=page)
        elif page[1] is not None and self.headers.get("If-None-Match") == page[1]:
            self.answer(304, None)
        else:
            self.answer(200, page[0].encode(), **({"ETag": page[1]} if page[1] else {}))

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body) + self.server.lie))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if body:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class AdblockTest(ModuleTest):
    module = "adblock"

    def setUp(self):
        super().setUp()
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            self.environment(name, None)
        self.output = self.path("unbound.conf.d", "adblock.conf")
        os.mkdir(self.path("unbound.conf.d"))
        self.tool("unbound", "exit 0")
        self.tool("unbound-checkconf", f"! grep -q forbidden {self.output} \"$1\"")
        self.tool("unbound-control", f"test -e {self.path('running')} && echo $1 >> {self.path('control')}")
        self.write("unbound.conf", "")
        self.configure(
            output_path=self.output, main_config=self.path("unbound.conf"), unbound=self.path("unbound"),
            unbound_checkconf=self.path("unbound-checkconf"), unbound_control=self.path("unbound-control"), sources=[],
        )

    def tool(self, name, body):
        self.write(name, f"#!/bin/sh\n{body}\n", 0o755)

    def serve(self, **pages):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lists)
        server.pages = {f"/{name}": page for name, page in pages.items()}
        server.seen, server.lie = [], 0
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        server.base = f"http://127.0.0.1:{server.server_port}"
        return server

    def source(self, text, name="list.txt", **settings):
        return {"url": "file://" + self.write(name, text), **settings}

    def zones(self):
        lines = [line.split() for line in self.read(self.output).splitlines() if "local-zone" in line]
        return [line[1].strip('"') for line in lines if line[2] != "always_transparent"]


class Runs(AdblockTest):
    def test_without_unbound_it_says_so_and_changes_nothing(self):
        self.configure(unbound="no-such-resolver", sources=[self.source("a.example\n")])
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"]), (True, False))
        self.assertIn("not installed", result["skipped"])
        self.assertFalse(os.path.exists(self.output))

    def test_without_sources_it_says_so(self):
        self.assertIn("no source", self.run_module()["skipped"])

    def test_lists_are_merged_sorted_and_deduplicated(self):
        self.configure(sources=[
            self.source("0.0.0.0 b.example a.example\n", "one"), self.source("a.example\nc.example\n", "two"),
        ])
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"], result["domains"]), (True, True, 3))
        self.assertEqual(self.zones(), ["a.example", "b.example", "c.example"])
        self.assertEqual(os.stat(self.output).st_mode & 0o777, 0o644)

    def test_a_second_run_changes_nothing(self):
        self.configure(sources=[self.source("a.example\n")])
        self.run_module()
        before = self.snapshot()
        self.assertFalse(self.run_module()["updated"])
        self.assertEqual(before, self.snapshot())

    def test_a_check_tells_the_difference_and_changes_nothing(self):
        self.configure(sources=[self.source("a.example\nb.example\n")])
        result = self.check_module()
        self.assertEqual(result["would_change"], [f"{self.output}: 2 names added, 0 removed"])
        self.run_module()
        self.assertEqual(self.check_module()["would_change"], [])

    def test_a_server_is_asked_only_for_what_is_newer(self):
        server = self.serve(list=("a.example\n", '"1"'))
        self.configure(sources=[{"url": server.base + "/list"}])
        self.run_module()
        self.assertFalse(self.run_module()["updated"])
        self.assertEqual(server.seen, [("/list", None), ("/list", '"1"')])
        server.pages["/list"] = ("a.example\nb.example\n", '"2"')
        self.assertTrue(self.run_module()["updated"])
        self.assertEqual(self.zones(), ["a.example", "b.example"])

    def test_a_failing_source_is_served_from_its_last_good_copy(self):
        server = self.serve(one=("a.example\n", None), two=("b.example\n", None))
        self.configure(sources=[{"url": server.base + "/one"}, {"url": server.base + "/two"}])
        self.run_module()
        for failure in (503, ("<html>please log in</html>", None), "file:///etc/passwd"):
            with self.subTest(failure=failure):
                server.pages["/one"] = failure
                server.pages["/two"] = ("b.example\nc.example\n", None)
                result = self.run_module()
                self.assertTrue(result["success"])
                self.assertEqual(list(result["failed_sources"]), [server.base + "/one"])
                self.assertEqual(self.zones(), ["a.example", "b.example", "c.example"])
        self.assertIn("last good copy", self.log("WARNING"))

    def test_it_fails_when_no_source_ever_gave_anything(self):
        server = self.serve(one=500)
        self.configure(sources=[{"url": server.base + "/one"}])
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("500", result["error"])
        self.assertFalse(os.path.exists(self.output))

    def test_a_truncated_or_oversized_body_is_refused(self):
        server = self.serve(one=("a.example\n" * 200000, None))
        self.configure(sources=[{"url": server.base + "/one"}], maximum_source_mib=1)
        self.assertIn("larger than 1 MiB", self.run_module()["error"])
        server.pages["/one"], server.lie = ("a.example\n", None), 5
        self.assertIn("broke off", self.run_module()["error"])

    def test_a_sudden_shrink_is_not_believed_unless_accepted(self):
        names = "".join(f"n{number}.example\n" for number in range(100))
        self.configure(sources=[self.source(names)])
        self.run_module()
        self.write("list.txt", "n1.example\n")
        result = self.run_module()
        self.assertTrue(result["success"])
        self.assertEqual(len(self.zones()), 100)
        self.assertIn("shrank from 100", self.log("WARNING"))
        self.run_module("--accept-shrink")
        self.assertEqual(self.zones(), ["n1.example"])

    def test_a_lost_source_without_a_copy_does_not_empty_the_list(self):
        names = "".join(f"n{number}.example\n" for number in range(100))
        self.configure(sources=[self.source(names, "big"), self.source("a.example\n", "small")])
        self.run_module()
        shutil.rmtree(os.path.join(self.state, "sources"))
        os.remove(self.path("big"))
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual(len(self.zones()), 101)

    def test_disabling_the_last_source_lets_the_names_go(self):
        source = self.source("a.example\n")
        self.configure(sources=[source])
        self.run_module()
        self.configure(sources=[dict(source, enabled=False)])
        self.assertTrue(self.run_module()["updated"])
        self.assertEqual(self.zones(), [])
        self.assertEqual(os.listdir(os.path.join(self.state, "sources")), ["sources.json"])

    def test_a_refused_list_never_becomes_visible(self):
        self.configure(sources=[self.source("a.example\n")])
        self.run_module()
        before = self.read(self.output)
        self.write("list.txt", "a.example\nforbidden.example\n")
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual(self.read(self.output), before)

    def test_a_list_that_breaks_the_whole_is_taken_back(self):
        self.configure(sources=[self.source("a.example\n")])
        self.run_module()
        before = self.read(self.output)
        # Only the main configuration is refused: what a conflict with another file looks like.
        self.tool("unbound-checkconf", f"case $1 in {self.root}/unbound.conf) ! grep -q b.example {self.output};; esac")
        self.write("list.txt", "a.example\nb.example\n")
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("the old list is back", result["error"])
        self.assertEqual(self.read(self.output), before)

    def test_a_running_unbound_is_told_and_a_stopped_one_is_told_later(self):
        self.configure(sources=[self.source("a.example\n")])
        result = self.run_module()
        self.assertTrue(result["success"])
        self.assertFalse(result["reloaded"])
        self.assertIn("when it next starts", self.log())
        self.write("running", "")
        self.assertTrue(self.run_module()["reloaded"])
        self.assertFalse(self.run_module()["reloaded"])
        self.assertEqual(self.read("control"), "status\nreload\n")

    def test_a_missing_checker_is_warned_about(self):
        self.configure(sources=[self.source("a.example\n")], unbound_checkconf="/no/such/checker")
        self.assertTrue(self.run_module()["updated"])
        self.assertIn("unchecked", self.log("WARNING"))

    def test_a_damaged_copy_is_not_used(self):
        server = self.serve(one=("a.example\n", '"1"'))
        self.configure(sources=[{"url": server.base + "/one"}])
        self.run_module()
        for name in os.listdir(os.path.join(self.state, "sources")):
            self.write(os.path.join(self.state, "sources", name), "damaged.example\n")
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(self.zones(), ["a.example"])

    def test_wrong_settings_are_named(self):
        good = [self.source("a.example\n")]
        for settings, reason in (
            ({"sources": [{"url": "ftp://x/"}]}, "https://"),
            ({"sources": [{"url": "file:///a", "format": "rpz"}]}, "format"),
            ({"sources": good, "action": "redirect\n"}, "action"),
            ({"sources": good, "allow": ["two words"]}, "two words"),
            ({"sources": good, "output_path": "relative"}, "output_path"),
            ({"sources": good, "maximum_domains": 0}, "maximum_domains"),
        ):
            with self.subTest(settings=settings):
                self.configure(**{"allow": [], "action": "always_nxdomain", "output_path": self.output, **settings})
                result = self.run_module()
                self.assertFalse(result["success"])
                self.assertIn(reason, result["error"])


class Formats(AdblockTest):
    def setUp(self):
        super().setUp()
        self.load()
        from components import domains

        self.domains = domains

    def names(self, text, kind="auto"):
        return sorted(self.domains.parse(text, kind).block)

    def test_the_three_formats_are_told_apart_by_line(self):
        text = "# c\n! c\n[Adblock]\n0.0.0.0 a.example # c\n::1 localhost\n127.0.0.1\tb.example c.example\n"
        text += "d.example\n*.e.example\n||f.example^\n||g.example^$third-party\n||h.example^$important\n"
        parsed = self.domains.parse(text + "@@||i.example^\nx.example##.ad\n")
        self.assertEqual(sorted(parsed.block), [f"{letter}.example" for letter in "abcdefh"])
        self.assertEqual(parsed.allow, {"i.example"})
        self.assertEqual(parsed.rejected, 2)

    def test_a_declared_format_accepts_only_its_own_lines(self):
        text = "0.0.0.0 a.example\nb.example\n||c.example^\n"
        self.assertEqual(self.names(text, "hosts"), ["a.example"])
        self.assertEqual(self.names(text, "domains"), ["b.example"])
        self.assertEqual(self.names(text, "adblock"), ["c.example"])

    def test_only_domain_names_pass(self):
        good = {"Ads.EXAMPLE.": "ads.example", "bücher.example": "xn--bcher-kva.example", "_x._tcp.a.example": None,
                "xn--p1ai.xn--p1ai": None, "a-b.c": False, "1.2.3.4": False, "localhost": False, "a..example": False,
                "-a.example": False, "a.example-": False, 'a".example': False, "a" * 64 + ".example": False,
                ("a" * 60 + ".") * 4 + "abcdefghij": False, "a.1": False, "a b.example": False, "": False,
                "a.example\n": "a.example", "a.exam\nple": False}
        for name, expected in good.items():
            with self.subTest(name=name):
                expected = name if expected is None else expected or None
                self.assertEqual(self.domains.normalise(name), expected)

    def test_an_allowed_name_is_cut_out_of_a_blocked_parent(self):
        block = {"ads.example", "x.ads.example", "good.ads.example", "below.good.ads.example", "other.example"}
        kept, exempt = self.domains.merge(block, {"good.ads.example", "unrelated.example"}, True)
        self.assertEqual((kept, exempt), (["ads.example", "other.example"], ["good.ads.example"]))
        kept, _ = self.domains.merge(block, set(), False)
        self.assertEqual(kept, sorted(block))

    def test_an_allowed_parent_frees_what_is_below(self):
        merged = self.domains.merge({"a.shop.example", "b.example"}, {"shop.example"}, True)
        self.assertEqual(merged, (["b.example"], []))


@unittest.skipUnless(shutil.which("unbound", path="/usr/sbin:/usr/bin"), "unbound is not installed")
class RealUnbound(AdblockTest):
    def setUp(self):
        super().setUp()
        self.configure(unbound="unbound", unbound_checkconf="unbound-checkconf")
        self.control = self.path("control.sock")
        self.write("unbound.conf", "\n".join((
            "server:", '    chroot: ""', '    username: ""', f'    directory: "{self.root}"',
            f'    pidfile: "{self.root}/pid"', "    do-ip6: no", "    interface: 127.0.0.1@0", "    use-syslog: no",
            f'include: "{self.root}/unbound.conf.d/*.conf"', "remote-control:", "    control-enable: yes",
            f"    control-interface: {self.control}", "    control-use-cert: no", "",
        )))
        self.tool("unbound-control", f'exec /usr/sbin/unbound-control -c {self.path("unbound.conf")} "$@"')

    def ask(self, *arguments):
        return subprocess.run([self.path("unbound-control"), *arguments], capture_output=True, text=True, check=False)

    def test_unbound_accepts_the_list_and_loads_it(self):
        self.configure(sources=[self.source("ads.example\nbücher.example\n_a.b.example\n")], allow=["good.ads.example"])
        command = ["/usr/sbin/unbound", "-d", "-c", self.path("unbound.conf")]
        unbound = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.addCleanup(unbound.wait)
        self.addCleanup(unbound.terminate)
        deadline = time.monotonic() + 20
        while self.ask("status").returncode != 0:
            self.assertLess(time.monotonic(), deadline, "unbound did not start")
            self.assertIsNone(unbound.poll(), "unbound ended")
        result = self.run_module()
        self.assertTrue(result["reloaded"], self.log())
        zones = self.ask("list_local_zones").stdout
        self.assertIn("ads.example. always_nxdomain", zones)
        self.assertIn("good.ads.example. always_transparent", zones)
        self.assertFalse(self.run_module()["reloaded"])


if __name__ == "__main__":
    unittest.main()
