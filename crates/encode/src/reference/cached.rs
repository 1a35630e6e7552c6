//! What is remembered of translations and processes, in the form of the reference's debug pages.
//!
//! Written entry by entry, so that a page as large as the kernel's table takes no memory. Where entries come from is not
//! known here.

use std::io;
use std::net::{IpAddr, SocketAddr};

use connections::{Process, ProcessKey, Protocol};
use serde::Serialize;

use crate::address_text::address_text;

/// Writes `{"RootNS":…,"Entries":{"<namespace>":[…]},"IsTruncated":…}`.
pub struct ConntrackPage<W> {
    out: W,
    /// The namespace whose list is open.
    netns: Option<u32>,
}

/// One tracked connection: where it comes from and goes to, and the same of what comes back.
#[derive(Debug, Clone, Copy)]
pub struct Tracked {
    /// Its protocol.
    pub protocol: Protocol,
    /// Source and destination of its first packet.
    pub original: (SocketAddr, SocketAddr),
    /// Source and destination of what comes back.
    pub reply: (SocketAddr, SocketAddr),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EntryWire {
    proto: &'static str,
    family: &'static str,
    origin: WayWire,
    reply: WayWire,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WayWire {
    src: EndWire,
    dst: EndWire,
}

#[derive(Serialize)]
struct EndWire {
    #[serde(rename = "IP")]
    ip: String,
    #[serde(rename = "Port")]
    port: u16,
}

impl<W: io::Write> ConntrackPage<W> {
    /// Begins; the namespace of the host is `root_netns`.
    ///
    /// # Errors
    /// Those of `out`, here and below.
    pub fn begin(mut out: W, root_netns: u32) -> io::Result<Self> {
        write!(out, "{{\"RootNS\":{root_netns},\"Entries\":{{")?;
        Ok(Self { out, netns: None })
    }

    /// One entry. Those of one namespace must come one after the other.
    ///
    /// # Errors
    /// As above.
    pub fn entry(&mut self, netns: u32, tracked: Tracked) -> io::Result<()> {
        match self.netns.replace(netns) {
            Some(open) if open == netns => write!(self.out, ",")?,
            Some(_) => write!(self.out, "],\"{netns}\":[")?,
            None => write!(self.out, "\"{netns}\":[")?,
        }
        let Tracked { protocol, original, reply } = tracked;
        let is_v4 = matches!(original.0.ip(), IpAddr::V4(_));
        let entry = EntryWire {
            proto: protocol.name(),
            family: if is_v4 { "v4" } else { "v6" },
            origin: original.into(),
            reply: reply.into(),
        };
        Ok(serde_json::to_writer(&mut self.out, &entry)?)
    }

    /// Ends. `truncated` when there is more.
    ///
    /// # Errors
    /// As above.
    pub fn end(mut self, truncated: bool) -> io::Result<()> {
        let list = if self.netns.is_some() { "]" } else { "" };
        write!(self.out, "{list}}},\"IsTruncated\":{truncated}}}")
    }
}

impl From<(SocketAddr, SocketAddr)> for WayWire {
    fn from((source, destination): (SocketAddr, SocketAddr)) -> Self {
        let end = |end: SocketAddr| EndWire { ip: address_text(end.ip()), port: end.port() };
        Self { src: end(source), dst: end(destination) }
    }
}

/// Writes `{"<pid>":[…]}`.
pub struct ProcessPage<W> {
    out: W,
    /// The process id whose list is open.
    pid: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessWire {
    pid: u32,
    tags: Vec<String>,
    #[serde(rename = "ContainerID")]
    container_id: String,
    start_time: i64,
    expiry: i64,
}

impl<W: io::Write> ProcessPage<W> {
    /// Begins.
    ///
    /// # Errors
    /// Those of `out`, here and below.
    pub fn begin(mut out: W) -> io::Result<Self> {
        write!(out, "{{")?;
        Ok(Self { out, pid: None })
    }

    /// One process that began at that time of the wall clock, in nanoseconds since 1970. Those with one id must come one after
    /// the other. What is known of it beyond the reference's fields is in its tags; nothing expires.
    ///
    /// # Errors
    /// As above.
    pub fn process(&mut self, process: &Process, started_at_unix_ns: i64) -> io::Result<()> {
        let ProcessKey { pid, started_at_boot_ns: _ } = process.key;
        match self.pid.replace(pid) {
            Some(open) if open == pid => write!(self.out, ",")?,
            Some(_) => write!(self.out, "],\"{pid}\":[")?,
            None => write!(self.out, "\"{pid}\":[")?,
        }
        let wire = ProcessWire {
            pid,
            tags: tags(process),
            // Which container it is in is told with its connections.
            container_id: String::new(),
            start_time: started_at_unix_ns,
            expiry: 0,
        };
        Ok(serde_json::to_writer(&mut self.out, &wire)?)
    }

    /// Ends.
    ///
    /// # Errors
    /// As above.
    pub fn end(mut self) -> io::Result<()> {
        let list = if self.pid.is_some() { "]" } else { "" };
        write!(self.out, "{list}}}")
    }
}

fn tags(process: &Process) -> Vec<String> {
    let Process {
        key: _,
        namespace_pid: _,
        parent_pid,
        executable,
        // It may be long, and is told with connections.
        command_line: _,
        command_line_cut: _,
        uid,
        user,
        unit,
        pod,
    } = process;
    let tag = |name: &str, value: Option<String>| value.map(|value| format!("{name}:{value}"));
    let text = |value: &Option<std::sync::Arc<str>>| value.as_deref().map(str::to_owned);
    let tags = [
        tag("executable", executable.as_deref().map(str::to_owned)),
        tag("parent_pid", parent_pid.map(|pid| pid.to_string())),
        tag("uid", uid.map(|uid| uid.to_string())),
        tag("user", text(user)),
        tag("unit", text(unit)),
        tag("pod_uid", text(pod)),
    ];
    tags.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Value {
        let mut bytes = Vec::new();
        write(&mut bytes).expect("a vector takes everything");
        serde_json::from_slice(&bytes).expect("it is JSON")
    }

    #[test]
    fn tracked_connections_stand_by_namespace() {
        let end = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let v4 = Tracked {
            protocol: Protocol::Tcp,
            original: (end("10.0.0.1:1"), end("10.0.0.2:80")),
            reply: (end("10.0.0.3:8080"), end("10.0.0.1:1")),
        };
        let v6 =
            Tracked { protocol: Protocol::Udp, original: (end("[fd00::1]:1"), end("[fd00::2]:2")), ..v4 };
        let page = written(|out| {
            let mut page = ConntrackPage::begin(out, 7)?;
            page.entry(7, v4)?;
            page.entry(7, v6)?;
            page.entry(8, v4)?;
            page.end(true)
        });
        assert_eq!((&page["RootNS"], &page["IsTruncated"]), (&json!(7), &json!(true)));
        let entry = json!({
            "Proto": "tcp", "Family": "v4",
            "Origin": {"Src": {"IP": "10.0.0.1", "Port": 1}, "Dst": {"IP": "10.0.0.2", "Port": 80}},
            "Reply": {"Src": {"IP": "10.0.0.3", "Port": 8080}, "Dst": {"IP": "10.0.0.1", "Port": 1}},
        });
        assert_eq!((&page["Entries"]["7"][0], &page["Entries"]["8"]), (&entry, &json!([entry])));
        assert_eq!(page["Entries"]["7"][1]["Family"], "v6");
        let empty = written(|out| ConntrackPage::begin(out, 7)?.end(false));
        assert_eq!(empty, json!({"RootNS": 7, "Entries": {}, "IsTruncated": false}));
    }

    #[test]
    fn processes_stand_by_id() {
        let process = |pid, started_at_boot_ns| Process {
            key: ProcessKey { pid, started_at_boot_ns },
            namespace_pid: None,
            parent_pid: Some(1),
            executable: Some("/usr/bin/x".into()),
            command_line: None,
            command_line_cut: false,
            uid: None,
            user: None,
            unit: Some("x.service".into()),
            pod: None,
        };
        let page = written(|out| {
            let mut page = ProcessPage::begin(out)?;
            page.process(&process(7, 1), 1001)?;
            page.process(&process(7, 2), 1002)?;
            page.process(&process(8, 3), 1003)?;
            page.end()
        });
        let told = json!({
            "Pid": 7, "Tags": ["executable:/usr/bin/x", "parent_pid:1", "unit:x.service"], "ContainerID": "",
            "StartTime": 1001, "Expiry": 0,
        });
        assert_eq!(
            (&page["7"][0], &page["7"][1]["StartTime"], &page["8"][0]["Pid"]),
            (&told, &json!(1002), &json!(8))
        );
        assert_eq!(written(|out| ProcessPage::begin(out)?.end()), json!({}));
    }
}
