//! The world of a test: network namespaces joined by a cable, cleaned up when the test ends.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace of its own, with loopback up.
pub struct NetNs {
    name: String,
}

impl NetNs {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sockeye-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Inode number, as the kernel side names it.
    pub fn inode(&self) -> u32 {
        use std::os::unix::fs::MetadataExt;
        let inode = std::fs::metadata(self.path()).expect("the namespace is mounted").ino();
        u32::try_from(inode).expect("namespace inodes have 32 bits")
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name], arguments].concat());
    }

    /// Runs `work` on a thread of its own inside this namespace; processes that it starts live there too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).expect("the namespace is mounted");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter");
                work()
            });
            thread.join().expect("the work does not panic")
        })
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Two namespaces joined by a veth pair: 10.9.0.1 and fd09::1 on the left, .2 and ::2 on the right.
pub struct VethPair {
    pub left: NetNs,
    pub right: NetNs,
}

pub const LEFT_V4: &str = "10.9.0.1";
pub const RIGHT_V4: &str = "10.9.0.2";
pub const RIGHT_V6: &str = "fd09::2";

impl VethPair {
    pub fn new() -> Self {
        let (left, right) = (NetNs::new(), NetNs::new());
        left.ip(&["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", right.name()]);
        for (end, v4, v6) in [(&left, LEFT_V4, "fd09::1"), (&right, RIGHT_V4, RIGHT_V6)] {
            end.ip(&["address", "add", &format!("{v4}/24"), "dev", "cable"]);
            end.ip(&["address", "add", &format!("{v6}/64"), "dev", "cable", "nodad"]);
            end.ip(&["link", "set", "cable", "up"]);
        }
        Self { left, right }
    }
}

/// True when the program can be started.
pub fn runs(program: &str) -> bool {
    Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program is installed");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
