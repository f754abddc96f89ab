"""The os module: apt and dpkg themselves, on a private root with packages made on the spot; and its parsers."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import unittest

from support import ModuleTest


class OsTest(ModuleTest):
    module = "os"


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("apt-get") and shutil.which("dpkg-deb"), "needs root and apt")
class RealApt(OsTest):
    def setUp(self):
        super().setUp()
        for folder in (
            "etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg/updates", "var/lib/dpkg/info", "var/log/apt",
            "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "repo", "boot", "usr/lib/modules",
        ):
            os.makedirs(self.path(folder))
        self.write("var/lib/dpkg/status", "")
        self.write("etc/apt/sources.list", f"deb [trusted=yes] file:{self.path('repo')} ./\n")
        # Read before every other setting, so that nothing of this machine's own configuration is seen.
        self.write("apt.conf", f'Dir "{self.root}";\nDir::State::status "{self.root}/var/lib/dpkg/status";\n'
                   'APT::Sandbox::User "root";\nAPT::Architecture "amd64";\nAPT::Architectures {"amd64";};\n')
        self.configure(
            apt_options=[f"Dpkg::Options::=--root={self.root}"], dpkg_options=[f"--root={self.root}"],
            dpkg_force=["confdef", "confold", "script-chrootless", "unsafe-io"],
            dpkg_admin_dir=self.path("var/lib/dpkg"), environment={"APT_CONFIG": self.path("apt.conf")},
            refresh_wait=0, batch_size=2, reboot_markers=[self.path("reboot-required")], boot_dir=self.path("boot"),
            kernel_modules_dir=self.path("usr/lib/modules"),
        )
        self.published = {}

    def package(self, name, version, postinst=None, depends=None, conflicts=None, files=()):
        """Build a package and return its file."""
        folder = self.path("build")
        shutil.rmtree(folder, ignore_errors=True)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"
        control += (f"Depends: {depends}\n" if depends else "") + (f"Conflicts: {conflicts}\n" if conflicts else "")
        control += "Description: a test\n"
        self.write(os.path.join(folder, "DEBIAN", "control"), control)
        for path, content in files:
            self.write(os.path.join(folder, path), content)
        if files:
            self.write(os.path.join(folder, "DEBIAN", "conffiles"), "".join(f"/{path}\n" for path, _ in files))
        if postinst is not None:
            self.write(os.path.join(folder, "DEBIAN", "postinst"), f"#!/bin/sh\n{postinst}\n", 0o755)
        target = self.path("repo", f"{name}_{version}_all.deb")
        command = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", folder, target]
        subprocess.run(command, check=True, capture_output=True)
        self.published[name, version] = control, target
        return target

    def publish(self):
        entries = []
        for control, path in self.published.values():
            with open(path, "rb") as stream:
                content = stream.read()
            digest = hashlib.sha256(content).hexdigest()
            entries.append(f"{control}Filename: ./{os.path.basename(path)}\nSize: {len(content)}\nSHA256: {digest}\n")
        self.write("repo/Packages", "\n".join(entries))

    def dpkg(self, *arguments):
        force = "--force-script-chrootless"
        return subprocess.run(["dpkg", f"--root={self.root}", force, *arguments], check=True, capture_output=True)

    def refresh(self):
        values = {**os.environ, "APT_CONFIG": self.path("apt.conf")}
        subprocess.run(["apt-get", "update"], env=values, check=True, capture_output=True)

    def versions(self):
        command = ["dpkg-query", f"--admindir={self.path('var/lib/dpkg')}", "-W", "-f", "${Package} ${Version}\n"]
        return dict(line.split() for line in subprocess.run(
            command, check=True, capture_output=True, text=True).stdout.splitlines())

    def install_and_publish(self, *names, **settings):
        for name in names:
            self.dpkg("-i", self.package(name, "1.0"))
        for name in names:
            self.package(name, "2.0", **settings.get(name, {}))
        self.publish()

    def test_packages_are_upgraded_in_batches_and_once(self):
        self.install_and_publish("alpha", "beta", "gamma")
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(sorted(result["upgraded"]), [f"{name} 1.0 -> 2.0" for name in ("alpha", "beta", "gamma")])
        self.assertEqual(self.versions(), {"alpha": "2.0", "beta": "2.0", "gamma": "2.0"})
        self.assertIn(("upgrade", 3, 3), self.steps)
        again = self.run_module()
        self.assertEqual((again["success"], again["updated"], again["upgraded"]), (True, False, []))

    def test_a_check_lists_what_would_change_and_changes_nothing(self):
        self.install_and_publish("alpha")
        self.refresh()
        self.assertEqual(self.check_module()["would_change"], ["upgrade alpha 1.0 -> 2.0"])
        self.run_module()
        self.assertEqual(self.check_module()["would_change"], [])

    def test_a_package_that_fails_is_found_and_the_others_go_in(self):
        self.install_and_publish("alpha", "beta", "gamma", "omega", beta={"postinst": "echo no luck; exit 1"})
        self.configure(batch_size=4)
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual(list(result["failed"]), ["beta"])
        self.assertIn("beta", result["error"])
        self.assertEqual(result["unfinished"], ["beta (half-configured)"])
        self.assertEqual(len(result["upgraded"]), 3)

    def test_an_interrupted_dpkg_is_repaired_first(self):
        self.dpkg("--unpack", self.package("alpha", "1.0"))
        self.publish()
        self.assertIn("alpha (unpacked)", self.check_module()["would_change"][0])
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(result["repaired"], ["not fully installed: alpha (unpacked)"])
        self.assertNotIn("repaired", self.run_module())

    def test_a_half_installed_dependency_is_completed(self):
        self.package("library", "1.0")
        self.dpkg("--unpack", self.package("alpha", "1.0", depends="library"))
        self.publish()
        # apt has not read the list yet: the first attempt fails, and a check can only name the repair.
        check = self.check_module()
        self.assertEqual((check["success"], len(check["would_change"])), (True, 1), self.log())
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(self.versions(), {"alpha": "1.0", "library": "1.0"})

    def test_a_held_package_stays_and_is_reported(self):
        self.install_and_publish("alpha", "beta")
        subprocess.run(["dpkg", f"--root={self.root}", "--set-selections"], input=b"beta hold\n", check=True)
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual((result["held"], result["kept_back"]), (["beta"], ["beta"]))
        self.assertEqual(self.versions(), {"alpha": "2.0", "beta": "1.0"})

    def test_the_supervisor_itself_is_left_to_a_person_and_holds_nobody_up(self):
        self.install_and_publish("alpha", "beta", "updates")
        self.refresh()
        expected = [f"upgrade {name} 1.0 -> 2.0" for name in ("alpha", "beta")]
        self.assertEqual(self.check_module()["would_change"], expected)
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(result["supervisor"], "updates 1.0 -> 2.0")
        self.assertIn("apt install updates", self.log())
        self.assertEqual(self.versions(), {"alpha": "2.0", "beta": "2.0", "updates": "1.0"})
        self.assertEqual(result["held"], [])

    def test_the_supervisor_is_left_out_of_what_goes_in_only_together_too(self):
        self.write("var/lib/apt/extended_states", "Package: updates\nArchitecture: amd64\nAuto-Installed: 1\n\n")
        self.install_and_publish("updates")
        self.dpkg("-i", self.package("alpha", "1.0", depends="updates"))
        self.dpkg("-i", self.package("beta", "1.0", conflicts="gamma"))
        self.package("alpha", "2.0", depends="updates, gamma")
        self.package("gamma", "1.0")
        self.publish()
        self.configure(mode="dist-upgrade")
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(self.versions(), {"alpha": "2.0", "gamma": "1.0", "updates": "1.0"})
        self.assertIn("Auto-Installed: 1", self.read("var/lib/apt/extended_states"))

    def test_new_dependencies_come_in_and_the_unneeded_go(self):
        self.package("oldlib", "1.0")
        self.dpkg("-i", self.path("repo/oldlib_1.0_all.deb"))
        self.dpkg("-i", self.package("alpha", "1.0", depends="oldlib"))
        self.write("var/lib/apt/extended_states", "Package: oldlib\nArchitecture: amd64\nAuto-Installed: 1\n\n")
        self.package("newlib", "1.0")
        self.package("alpha", "2.0", depends="newlib")
        self.publish()
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertEqual(result["removed"], ["oldlib"])
        self.assertEqual(self.versions(), {"alpha": "2.0", "newlib": "1.0"})
        self.assertIn("newlib", self.read("var/lib/apt/extended_states"))

    def test_an_upgrade_leaves_automatic_packages_automatic(self):
        self.install_and_publish("library")
        self.dpkg("-i", self.package("alpha", "1.0", depends="library"))
        self.publish()
        self.write("var/lib/apt/extended_states", "Package: library\nArchitecture: amd64\nAuto-Installed: 1\n\n")
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(self.versions()["library"], "2.0")
        self.assertIn("Auto-Installed: 1", self.read("var/lib/apt/extended_states"))

    def test_a_changed_configuration_file_is_kept(self):
        self.dpkg("-i", self.package("alpha", "1.0", files=[("etc/alpha.conf", "one\n")]))
        self.write("etc/alpha.conf", "mine\n")
        self.package("alpha", "2.0", files=[("etc/alpha.conf", "two\n")])
        self.publish()
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(self.read("etc/alpha.conf"), "mine\n")

    def test_an_upgrade_never_removes_and_a_dist_upgrade_may(self):
        self.dpkg("-i", self.package("alpha", "1.0"), self.package("beta", "1.0"))
        self.package("alpha", "2.0", depends="gamma")
        self.package("gamma", "1.0", conflicts="beta")
        self.publish()
        result = self.run_module()
        self.assertEqual((result["success"], result["kept_back"]), (True, ["alpha"]), self.log())
        self.configure(mode="dist-upgrade")
        self.assertTrue(self.run_module()["success"], self.log())
        self.assertEqual(self.versions(), {"alpha": "2.0", "gamma": "1.0"})

    def test_sources_out_of_reach_are_named(self):
        self.install_and_publish("alpha")
        missing = f"deb [trusted=yes] file:{self.path('none')} ./\n"
        self.write("etc/apt/sources.list.d/none.list", missing)
        result = self.run_module()
        self.assertTrue(result["success"], self.log())
        self.assertIn(self.path("none"), "".join(result["failed_sources"]))
        self.assertEqual(self.versions(), {"alpha": "2.0"})
        self.package("alpha", "3.0")
        self.publish()
        self.write("etc/apt/sources.list", "")
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("no package source could be reached", result["error"])
        self.configure(require_refresh=False)
        self.assertTrue(self.run_module()["success"])

    def test_a_wish_to_end_is_granted_between_batches(self):
        before = signal.getsignal(signal.SIGTERM)
        self.addCleanup(signal.signal, signal.SIGTERM, before)
        tell = f"kill -TERM {os.getpid()}"
        self.install_and_publish("alpha", "beta", "gamma", alpha={"postinst": tell})
        self.configure(batch_size=1)
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual((result["upgraded"], result["left"]), (["alpha 1.0 -> 2.0"], ["beta", "gamma"]))
        self.assertNotIn("unfinished", result)
        signal.signal(signal.SIGTERM, before)

    def test_a_service_that_keeps_the_output_open_does_not_hold_the_run_up(self):
        self.install_and_publish("alpha", alpha={"postinst": f"sleep 300 &\necho $! > {self.path('child')}"})
        self.assertTrue(self.run_module()["success"])
        os.kill(int(self.read("child")), signal.SIGKILL)

    def test_a_marker_for_a_reboot_is_reported(self):
        self.install_and_publish("alpha")
        self.write("reboot-required", "*** System restart required ***\n")
        self.write("reboot-required.pkgs", "linux-base\nlibc6\nlibc6\n")
        result = self.run_module()
        self.assertTrue(result["success"])
        self.assertTrue(result["reboot_required"])
        self.assertEqual(result["reboot_packages"], ["libc6", "linux-base"])


class Decisions(OsTest):
    def test_without_apt_it_says_so_and_changes_nothing(self):
        self.configure(apt_get="/no/such/apt-get")
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"]), (True, False))
        self.assertEqual(result["skipped"], "apt is not installed")

    def test_a_simulation_is_read_as_apt_prints_it(self):
        self.load()
        from components.packages import parse_plan

        plan = parse_plan("""\
Reading package lists...
The following packages have been kept back:
  held-one held-two
The following packages will be upgraded:
  base-files libc6:i386
Inst base-files [12.4+deb12u5] (12.4+deb12u10 Debian:12.10/stable [amd64])
Inst libc6:i386 [2.36-9] (2.36-9+deb12u10 Debian-Security:12/stable-security [i386]) []
Inst linux-image-6.1.0-32-amd64 (6.1.129-1 Debian-Security:12/stable-security [amd64])
Conf base-files (12.4+deb12u10 Debian:12.10/stable [amd64])
Remv old-thing [1.0]
""".splitlines())
        self.assertEqual([str(upgrade) for upgrade in plan.upgrades], [
            "base-files 12.4+deb12u5 -> 12.4+deb12u10", "libc6:i386 2.36-9 -> 2.36-9+deb12u10",
            "linux-image-6.1.0-32-amd64 new -> 6.1.129-1",
        ])
        self.assertEqual([upgrade.security for upgrade in plan.upgrades], [False, True, True])
        self.assertEqual((plan.removals, plan.kept_back), (["old-thing"], ["held-one", "held-two"]))

    def test_failed_sources_are_read_as_apt_prints_them(self):
        self.load()
        from components.refresh import read
        from components.tools import Finished

        refreshed = read(Finished(100, """\
Hit:1 http://deb.example.org/debian bookworm InRelease
Err:2 http://gone.example.org/debian bookworm InRelease
  Could not resolve 'gone.example.org'
Get:3 http://deb.example.org/debian-security bookworm-security InRelease [48.0 kB]
W: Failed to fetch http://gone.example.org/debian/dists/bookworm/InRelease  Could not resolve 'gone.example.org'
E: The repository 'http://old.example.org/debian stretch Release' does not have a Release file.
W: Some index files failed to download. They have been ignored, or old ones used instead.
""".splitlines()))
        self.assertTrue(refreshed.reached)
        self.assertEqual(refreshed.failed, {
            "http://gone.example.org/debian bookworm InRelease": "Could not resolve 'gone.example.org'",
            "http://old.example.org/debian":
                "The repository 'http://old.example.org/debian stretch Release' does not have a Release file.",
        })
        locked = read(Finished(100, ["E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt)"]))
        self.assertEqual(list(locked.failed), ["apt-get update"])

    def test_what_apt_warns_about_is_no_package(self):
        self.load()
        from components.packages import names

        lines = ["W: Unable to read /etc/apt/apt.conf.d/ - DirectoryExists (2: No such file or directory)",
                 "libstdc++6:i386", "linux-image-6.1.0-32-amd64", "N: Some note"]
        self.assertEqual(names(lines), lines[1:3])

    def test_what_dpkg_says_on_the_line_after_an_error_belongs_to_it(self):
        self.load()
        from components.tools import Finished

        finished = Finished(100, [
            "dpkg: error processing package beta (--configure):",
            " installed beta package post-installation script subprocess returned error exit status 1",
            "Errors were encountered while processing:", " beta",
        ])
        self.assertEqual(finished.reason(), " ".join(line.strip() for line in finished.lines[:2]))

    def test_a_newer_kernel_of_the_same_flavour_means_a_reboot(self):
        self.load()
        from components import reboot

        for folder in ("boot", "modules/6.1.0-9-amd64"):
            os.makedirs(self.path(folder))
        settings = {"boot_dir": self.path("boot"), "kernel_modules_dir": self.path("modules")}

        def newer(left, right):
            return subprocess.run(["dpkg", "--compare-versions", left, "gt", right], check=False).returncode == 0

        def reason(running, *kernels):
            for name in os.listdir(self.path("boot")):
                os.remove(self.path("boot", name))
            for name in kernels:
                self.write(f"boot/vmlinuz-{name}", "")
            return reboot.kernel(settings, running, newer)

        self.assertIsNone(reason("6.1.0-9-amd64", "6.1.0-9-amd64"))
        self.assertIn("6.1.0-10-amd64 is installed", reason("6.1.0-9-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64"))
        self.assertIsNone(reason("6.1.0-9-amd64", "6.1.0-9-amd64", "6.1.0-10-cloud-amd64"))
        self.assertIsNone(reason("6.1.0-9-amd64", "6.1.0-9-amd64", "6.1.0-10-amd64.old"))
        self.assertIn("are gone", reason("6.1.0-11-amd64", "6.1.0-9-amd64"))
        self.assertIsNone(reason("6.1.0-11-amd64"), "a container has no kernel of its own")
        self.assertEqual([reboot.flavour(version) for version in (
            "6.1.0-32-amd64", "6.1.0-32-cloud-amd64", "6.1.0-rpi7-rpi-v8", "6.12.38+deb13-amd64", "5.15.0-91-generic",
        )], ["amd64", "cloud-amd64", "rpi-v8", "amd64", "generic"])

    def test_an_unknown_mode_is_named(self):
        self.configure(mode="everything", apt_get="/bin/true", dpkg="/bin/true", apt_mark="/bin/true")
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("everything", result["error"])

    def test_the_tools_are_asked_no_questions(self):
        self.load()
        from components.tools import environment

        values = environment({"environment": {"X": 1}})
        self.assertEqual((values["DEBIAN_FRONTEND"], values["LC_ALL"], values["X"]), ("noninteractive", "C", "1"))
        self.assertIn("/usr/sbin", values["PATH"].split(":"))
        self.assertTrue(json.dumps(values))


if __name__ == "__main__":
    unittest.main()
