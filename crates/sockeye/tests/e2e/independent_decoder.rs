//! The reference's dialect as somebody else reads it: the protobuf package of Python, with descriptors from a list of what
//! clients of the reference expect. The decoder is `crates/encode/tests/decode_reference.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::exchange::Exchange;
use crate::needs::{python_with, runs_here};
use crate::place::Place;

/// Something of the crate that writes the dialect.
fn encode(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../encode").join(path)
}

/// What the decoder says, for these arguments.
fn decoded(python: &Path, what: &str, files: &[&Path]) -> String {
    let mut command = Command::new(python);
    // It leaves no compiled files behind.
    command.arg("-B").arg(encode("tests/decode_reference.py")).arg(what).args(files);
    let output = command.output().expect("the interpreter is there");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} of {files:?}: {complaint}");
    String::from_utf8(output.stdout).expect("the decoder speaks UTF-8")
}

#[test]
fn our_schema_is_what_clients_of_the_reference_expect() {
    let Some(python) = python_with("google.protobuf") else { return };
    decoded(&python, "schema", &[&encode("proto/reference.proto")]);
}

#[test]
fn another_decoder_reads_one_message_from_both_forms() {
    let Some(python) = python_with("google.protobuf") else { return };
    for name in ["reference", "reference_udp"] {
        let [protobuf, json] = ["hex", "json"].map(|form| encode(&format!("tests/golden/{name}.{form}")));
        decoded(&python, "golden", &[&protobuf, &json]);
    }
}

#[test]
fn a_poll_for_protobuf_is_read_by_another_decoder() {
    let Some(python) = python_with("google.protobuf") else { return };
    if !runs_here(&["ip", "curl"]) {
        return;
    }
    let (daemon, exchange, place) = (Daemon::start(), Exchange::new(), Place::new());
    let mut pairs = exchange.open(1);
    pairs[0].send(50);
    let answer = place.of("answer");
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--max-time", "20", "-H", "Accept: application/protobuf"]);
    curl.args(["-w", "%{http_code} %{content_type}", "--unix-socket"])
        .arg(daemon.socket())
        .arg("-o")
        .arg(&answer);
    let output = curl.arg("http://sockeye/network_tracer/connections?client_id=decoder").output();
    let said = output.expect("curl is installed").stdout;
    assert_eq!(String::from_utf8_lossy(&said), "200 application/protobuf");
    let json: Value = serde_json::from_str(&decoded(&python, "print", &[&answer])).expect("it is JSON");
    let conns = json["conns"].as_array().expect("a list").iter();
    let ours: Vec<_> = conns.filter(|conn| conn["netNS"] == exchange.space.inode()).collect();
    let sent = |conn: &&Value| (conn["lastBytesSent"].clone(), conn["lastBytesReceived"].clone());
    let near = ours.iter().find(|conn| conn["raddr"]["port"] == exchange.port());
    let far = ours.iter().find(|conn| conn["laddr"]["port"] == exchange.port());
    assert_eq!((ours.len(), near.map(sent)), (2, Some(("50".into(), "0".into()))), "{ours:?}");
    assert_eq!(far.map(sent), Some(("0".into(), "50".into())), "{ours:?}");
    for (end, direction) in [(near, "outgoing"), (far, "incoming")] {
        let told =
            end.map(|end| (&end["direction"], &end["pid"], &end["intraHost"], &end["lastTcpEstablished"]));
        let expected = (&direction.into(), &std::process::id().into(), &true.into(), &1.into());
        assert_eq!(told, Some(expected), "{ours:?}");
    }
    assert_eq!(json["agentConfiguration"]["npmEnabled"], true);
    assert_eq!(json["connTelemetryMap"]["sockeye.coverage.complete"], "1", "{}", json["connTelemetryMap"]);
}
