//! What a test needs of its host, and how it says that something is missing.

use std::path::PathBuf;
use std::process::Command;

use crate::daemon::binary;
use crate::not_run::not_run;
use crate::world;

/// True when the test can run here: as root, on a kernel with type information, with these programs. If not, that
/// is noted, and where the class is required the test fails.
pub fn runs_here(programs: &[&str]) -> bool {
    let reason = missing(programs);
    reason.iter().for_each(|reason| note_not_run(reason));
    reason.is_none()
}

/// The Python that `cargo x test` has given this package; absent when there is none, which is noted as above.
pub fn python_with(package: &str) -> Option<PathBuf> {
    // The binary is TARGET/PROFILE/sockeye, and the environment is in TARGET.
    let target = binary().ancestors().nth(2).expect("the binary is in a target directory");
    let python = target.join("python/bin/python3");
    let import = format!("import {package}");
    let imports = Command::new(&python).args(["-c", &import]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let told = std::env::var("SOCKEYE_PYTHON_MISSING");
    note_not_run(
        &told.unwrap_or_else(|_| format!("{} has no {package}; cargo x test makes it", python.display())),
    );
    None
}

/// Notes that the test does not run here; where the class is required, that fails it.
pub fn note_not_run(reason: &str) {
    let thread = std::thread::current();
    let noted = not_run("e2e", thread.name().unwrap_or("unnamed"), reason);
    noted.unwrap_or_else(|failure| panic!("{failure}"));
}

fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".into());
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no BTF".into());
    }
    let missing = programs.iter().find(|program| !world::runs(program));
    missing.map(|program| format!("{program} is missing"))
}
