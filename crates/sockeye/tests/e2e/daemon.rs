//! The real binary as a child of the test: started on a socket of its own, stopped by its own pid, its standard
//! error kept and shown when the test fails. Talks to it only to learn that it is ready.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;
use crate::raw::Raw;
use crate::wait::{until, within};

/// A running daemon. Dropping it stops it, and a stop that is not clean fails the test.
pub struct Daemon {
    child: Child,
    place: Rc<Place>,
    stderr: PathBuf,
    ended: bool,
}

impl Daemon {
    /// A daemon with default limits.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A daemon with these variables in its environment.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        Self::start_in(&Rc::new(Place::new()), variables)
    }

    /// A daemon in a place where others may have been.
    pub fn start_in(place: &Rc<Place>, variables: &[(&str, &str)]) -> Self {
        Self::spawn_in(place, variables).until_ready()
    }

    /// A daemon that another program starts: the words of that, which the daemon's own follow.
    pub fn started_by(words: &[&str]) -> Self {
        Self::started_in_by(&Rc::new(Place::new()), words)
    }

    /// The same in a place that is there already.
    pub fn started_in_by(place: &Rc<Place>, words: &[&str]) -> Self {
        let (program, arguments) = words.split_first().expect("a program");
        let own = run_command(place);
        let mut command = command(Path::new(program));
        command.args(arguments).arg(own.get_program()).args(own.get_args());
        Self::spawn(place, command).until_ready()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn until_ready(self) -> Self {
        let mut daemon = self;
        until("the ready daemon", || {
            assert!(daemon.running(), "the daemon ended before it was ready:\n{}", daemon.stderr());
            Raw::try_ask(daemon.socket(), "/readyz").ok()?.status().filter(|status| *status == 200)
        });
        daemon
    }

    /// A daemon that need not become ready.
    pub fn spawn_in(place: &Rc<Place>, variables: &[(&str, &str)]) -> Self {
        let mut command = run_command(place);
        command.envs(variables.iter().copied());
        Self::spawn(place, command)
    }

    fn spawn(place: &Rc<Place>, mut command: Command) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stderr = place.of(&format!("stderr-{number}"));
        let child = command
            .stderr(File::create(&stderr).expect("the place is writable"))
            .spawn()
            .expect("the binary starts");
        Self { child, place: Rc::clone(place), stderr, ended: false }
    }

    pub fn socket(&self) -> PathBuf {
        socket_in(&self.place)
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub fn signal(&self, signal: Signal) {
        // The child was not waited for, so the pid is still its own.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for its end.
    pub fn wait_end(&mut self) -> ExitStatus {
        let status = until("the end of the daemon", || self.child.try_wait().expect("it is our child"));
        self.ended = true;
        status
    }

    /// Kills it, so that it can clean up nothing.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait_end();
    }

    fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        let status = within(crate::wait::DEADLINE, || self.child.try_wait().ok()?);
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        status
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let status = if self.ended { None } else { Some(self.stop()) };
        if std::thread::panicking() {
            eprintln!("--- the daemon said:\n{}---", self.stderr());
        } else if let Some(status) = status {
            let clean = status.is_some_and(|status| status.success());
            assert!(clean, "the daemon did not stop cleanly: {status:?}\n{}", self.stderr());
        }
    }
}

/// Where the daemon of this place listens.
pub fn socket_in(place: &Place) -> PathBuf {
    place.of("s.sock")
}

/// The binary with nothing of this host's configuration.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let configures = |name: &str| name.starts_with("SOCKEYE_") && name.contains("__");
        if name.to_str().is_some_and(configures) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The binary that cargo built.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sockeye"))
}

fn run_command(place: &Place) -> Command {
    let mut command = command(binary());
    let config = place.write("sockeye.toml", "");
    command.arg("run").arg("--socket").arg(socket_in(place)).arg("--config").arg(config);
    command
}
