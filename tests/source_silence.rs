//! A server that accepts and never answers. Alone in its file, since the limit is one for the whole process.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::time::Duration;

use updates::source::{Access, FetchError, Mirror, SourceConfig, SourceUrl, Trust};

#[test]
fn a_server_that_keeps_silent_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel accepts for the listener; nobody ever reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for url in [format!("http://{address}/x"), format!("ssh://git@{address}/x"), format!("git://{address}/x")] {
        let config = SourceConfig {
            url: SourceUrl::new(&url).unwrap(),
            branch: "main".into(),
            ssh_key: None,
            access: Access::default(),
            timeout: Duration::from_millis(200),
            trust: Trust::default(),
            allow_non_fast_forward: false,
        };
        let mut mirror = Mirror::open_or_create(&folder.path().join("mirror.git")).unwrap();
        let error = mirror.fetch(&config, &mut |_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
        println!("{error}");
    }
}
