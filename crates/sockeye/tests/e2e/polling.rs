//! The daemon without programs in the kernel: real clients are told to the byte, and the status says what is not seen.

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::echo::{Echo, ask, fetch};
use crate::ledger::Ledger;
use crate::needs::runs_here;
use crate::world::{RIGHT_V4, VethPair};

#[test]
fn a_polling_daemon_tells_curl_to_the_byte_and_says_what_it_does_not_see() {
    if !runs_here(&["curl", "ip", "bash", "python3"]) {
        return;
    }
    // Namespaces that are there at the start: of a younger one it takes a second until its ends are heard.
    let pair = VethPair::new();
    let daemon = Daemon::with(&[("SOCKEYE_COLLECT__BACKEND", "polling")]);
    let _echo = Echo::start(&pair.right, &[]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    fetch(&pair.left, RIGHT_V4, 80, &[]);
    ask(&pair.left, RIGHT_V4, 80);
    ledger.wait_closed(&pair.right, 1);
    let is_tcp = |told: &Value| told["protocol"] == "tcp";
    let bytes = |space| {
        let (_, told) = ledger.of(space).find(|(_, told)| is_tcp(&told.last)).expect("it is told");
        told.bytes()
    };
    let ((sent, received), (other_sent, other_received)) = (bytes(&pair.left), bytes(&pair.right));
    assert!(sent > 0 && received > 0);
    assert_eq!((sent, received), (other_received, other_sent));
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let capabilities = status["capabilities"].as_array().expect("a list");
    let state = |name: &str| capabilities.iter().find(|state| state["name"] == name).expect("it is listed");
    for (name, hook) in [("tcp live", "sock_diag"), ("tcp closed", "sock_diag/destroy"), ("udp", "sock_diag")]
    {
        let state = state(name);
        assert_eq!(state["served_by"], hook, "{state}");
        assert!(
            state["degradation"]["reason"].is_string() && state["refused"][0]["alternative"].is_string(),
            "{state}"
        );
    }
    assert!(state("dns")["served_by"].is_null() && state("processes")["served_by"].is_null(), "{status}");
    assert!(status["programs"].as_array().is_none_or(Vec::is_empty), "{status}");
    let answer = ledger.poll();
    let degradations = answer["coverage"]["degradations"].as_array().expect("a list");
    assert!(degradations.contains(&"udp".into()) && degradations.contains(&"tcp owner".into()), "{answer}");
    assert_eq!(answer["coverage"]["complete"], true, "{answer}");
}
