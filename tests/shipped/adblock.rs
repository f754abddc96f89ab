//! `adblock`: lists from a web server and a file become an include of unbound; a running unbound reads it, and what
//! unbound or a source spoils is not published.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::files::Without;
use super::http::Web;
use super::resolver::Resolver;
use super::scene::{Scene, assert_step};

const HOSTS: &str = "# hosts\n127.0.0.1 localhost\n0.0.0.0 ads.example\n0.0.0.0 tracker.example # tracks\n\
                     0.0.0.0 deep.ads.example\n0.0.0.0 shop.example\n";
const ADBLOCK: &str = "! list\n||banner.example^\n||ads.example^\n@@||good.banner.example^\n";

fn scene(web: &Web) -> Scene {
    let mut scene = Scene::new("adblock");
    for (name, url) in [("hosts", web.url("/hosts")), ("adblock", web.url("/adblock"))] {
        scene.replace(copy_of(&url), &format!("[{name}]"));
    }
    scene
        .replace(web.address(), "[server]")
        .without(Without { content_of: vec!["sources.json"], ..Without::default() });
    web.put("/hosts", HOSTS).put("/adblock", ADBLOCK);
    scene.root.write("/etc/adblock/own.txt", "own.example\nBANNER.example.\n");
    scene.root.write("/etc/unbound/unbound.conf.d/local.conf", "server:\n    local-zone: \"lan\" static\n");
    scene
}

// The name of a source's copy follows its address, and so the port.
fn copy_of(url: &str) -> String {
    Sha256::digest(url).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn settings(web: &Web) -> Value {
    json!({"configuration": {
        "sources": [{"url": web.url("/hosts")}, {"url": web.url("/adblock")}, {"url": "file:///etc/adblock/own.txt"}],
        "block": ["by-hand.example"], "allow": ["shop.example"],
    }})
}

#[test]
fn lists_are_merged_into_an_include_that_unbound_would_read() {
    let web = Web::new();
    let scene = scene(&web);
    Resolver::configure(&scene.root);
    scene.installed().settings(&settings(&web));
    assert_step!("adblock_check_before", scene.check());
    assert_step!("adblock_first", scene.run());
    web.asked();
    assert_step!("adblock_second", scene.run());
    assert_eq!(web.asked(), ["/hosts 304", "/adblock 304"]);
    web.put("/hosts", format!("{HOSTS}0.0.0.0 more.example\n"));
    assert_step!("adblock_check_after", scene.check());
    assert_step!("adblock_third", scene.run());
}

#[test]
fn a_running_unbound_reads_the_list() {
    let web = Web::new();
    let scene = scene(&web);
    scene.installed();
    let unbound = Resolver::start(&scene.root);
    scene.settings(&settings(&web));
    assert_eq!(unbound.zones("always_nxdomain"), [""; 0]);
    assert_eq!(scene.run().result["reloaded"], true);
    let blocked = ["ads.example.", "banner.example.", "by-hand.example.", "own.example.", "tracker.example."];
    assert_eq!(unbound.zones("always_nxdomain"), blocked);
    assert_eq!(scene.run().result["reloaded"], false);
    // The last source goes, and with it every name.
    scene.settings(&json!({}));
    assert_step!("adblock_emptied", scene.run());
    assert_eq!(unbound.zones("always_nxdomain"), [""; 0]);
}

#[test]
fn a_source_that_fails_is_named_and_its_last_good_copy_used() {
    let web = Web::new();
    let scene = scene(&web);
    Resolver::configure(&scene.root);
    scene.installed().settings(&settings(&web));
    scene.run();
    web.remove("/hosts");
    assert_step!("adblock_source_lost", scene.run());
}

#[test]
fn without_any_source_the_list_is_left_and_the_run_fails() {
    let web = Web::new();
    let scene = scene(&web);
    Resolver::configure(&scene.root);
    scene.installed().settings(&settings(&web));
    scene.run();
    let mut lost = settings(&web);
    lost["configuration"]["sources"] = json!([{"url": web.url("/none")}]);
    scene.settings(&lost);
    assert_step!("adblock_failure", scene.failing_run());
}

#[test]
fn a_list_that_unbound_refuses_together_with_the_rest_is_taken_back() {
    let web = Web::new();
    let scene = scene(&web);
    Resolver::configure(&scene.root);
    scene.installed().settings(&settings(&web));
    // The one file goes on where the other ends, which the list now comes between.
    let folder = "/etc/unbound/unbound.conf.d";
    scene.root.write(&format!("{folder}/aa.conf"), "forward-zone:\n    name: \"corp.example\"\n");
    scene.root.write(&format!("{folder}/ae.conf"), "    forward-addr: 192.0.2.1\n");
    assert_step!("adblock_refused", scene.failing_run());
}
