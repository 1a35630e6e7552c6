//! What a test needs of its host, and how it says that something is missing.

use crate::not_run::not_run;
use crate::world;

/// True when the test can run here: as root, on a kernel with type information, with these programs. If not, that
/// is noted, and where the class is required the test fails.
pub fn runs_here(programs: &[&str]) -> bool {
    let Some(reason) = missing(programs) else {
        return true;
    };
    let thread = std::thread::current();
    let noted = not_run("e2e", thread.name().unwrap_or("unnamed"), &reason);
    noted.unwrap_or_else(|failure| panic!("{failure}"));
    false
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
