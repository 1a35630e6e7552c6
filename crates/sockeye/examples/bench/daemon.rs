//! The real daemon as a child process: started, asked over its socket, and watched through `/proc`.
//!
//! It runs beside the bench's namespace, as it would on any host, with the default configuration.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::request::{self, Timed};

const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// `/proc/PID/stat` counts CPU time in units of 10 ms on every architecture that BPF runs on.
pub const TICK: Duration = Duration::from_millis(10);

/// The running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
}

/// What came over the socket.
pub struct Answer {
    pub status: String,
    /// Everything, the header included.
    pub bytes: Vec<u8>,
    /// From the start of the request to the last byte.
    pub duration: Duration,
}

impl Daemon {
    /// Starts it and waits until it answers polls.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// The same with some variables of its environment, by which it is configured.
    pub fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let socket = std::env::temp_dir().join(format!("sockeye-bench-{}.sock", std::process::id()));
        let mut command = Command::new(built_binary()?);
        // No configuration of this host or of this shell: the defaults are measured.
        command.env_clear().envs(settings.iter().copied()).args([
            "run",
            "--config",
            "/dev/null",
            "--log-level",
            "warn",
            "--socket",
        ]);
        let child = command.arg(&socket).stdin(Stdio::null()).spawn().context("cannot start the daemon")?;
        let mut daemon = Self { child, socket };
        let begin = Instant::now();
        while !daemon.get("/readyz").is_ok_and(|answer| answer.status == "200") {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the daemon ended: {status}");
            }
            ensure!(begin.elapsed() < DEADLINE, "the daemon is not ready after {DEADLINE:?}");
            sleep(PAUSE);
        }
        Ok(daemon)
    }

    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path)
    }

    pub fn put(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("PUT", path)
    }

    /// Asks, and tells when the first byte of the body came.
    pub fn time(&self, method: &str, path: &str) -> anyhow::Result<Timed> {
        request::ask(&self.socket, method, path)
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// HTTP/1.0, so that the answer is not in chunks and ends with the connection.
    fn ask(&self, method: &str, path: &str) -> anyhow::Result<Answer> {
        let begin = Instant::now();
        let mut stream = UnixStream::connect(&self.socket)?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: sockeye\r\nContent-Length: 0\r\n\r\n")?;
        let (mut bytes, mut chunk, mut duration) = (Vec::new(), vec![0; 1 << 16], Duration::ZERO);
        loop {
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&chunk[..read]);
            duration = begin.elapsed();
        }
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        Ok(Answer { status, bytes, duration })
    }

    /// User and system time of the whole process since its start.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let text = std::fs::read_to_string(self.proc("stat"))?;
        // The command may hold anything, so the fields are counted from the parenthesis behind it.
        let (_, fields) = text.rsplit_once(") ").context("/proc/PID/stat has a command")?;
        let mut ticks = fields.split(' ').skip(11).map(str::parse::<u32>);
        let mut next = || ticks.next().context("/proc/PID/stat is too short");
        let (user, system) = (next()??, next()??);
        Ok(TICK * (user + system))
    }

    /// A line of `/proc/PID/status` that is in kB, in MiB.
    pub fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(self.proc("status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no such line")?;
        Ok(number.parse::<f64>()? / 1024.0)
    }

    /// What its BPF maps take of the kernel's memory, in MiB: only the ring is mapped and resident as well.
    pub fn map_mib(&self) -> anyhow::Result<f64> {
        let mut maps = std::collections::BTreeMap::new();
        for entry in std::fs::read_dir(self.proc("fdinfo"))? {
            // A descriptor may be closed meanwhile.
            let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
            let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
                maps.insert(id.to_owned(), bytes.parse::<f64>()?);
            }
        }
        Ok(maps.values().sum::<f64>() / f64::from(1 << 20))
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to stop, so that it removes its socket.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// The daemon that lies beside this example, built now if cargo started this: cargo builds an example without
/// the binary that it belongs to, so what lies there may be old.
fn built_binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/release/examples/bench
    let (release, target) = (own.ancestors().nth(2), own.ancestors().nth(3));
    let (release, target) = release.zip(target).context("this is not in a target directory")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(Path::new(&cargo), target)?;
    }
    let binary = release.join("sockeye");
    ensure!(binary.exists(), "{} is missing: cargo build --release -p sockeye", binary.display());
    Ok(binary)
}

/// Builds as whoever owns the target directory, so that nothing there becomes root's.
fn build(cargo: &Path, target: &Path) -> anyhow::Result<()> {
    let owner = std::fs::metadata(target)?;
    let tools = cargo.parent().map(|tools| tools.display().to_string()).unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_default();
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "sockeye", "--bin", "sockeye", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // sudo shortens the path, and the compiler lies beside cargo.
        .env("PATH", format!("{tools}:{path}"))
        .uid(owner.uid())
        .gid(owner.gid())
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo could not build the daemon: {status}");
    Ok(())
}
