//! What a machine finds at its start: the test binary with its libraries, the programs that tests call, the modules of
//! its kernel, and `init.sh`, packed into one archive.
//!
//! What the machine does with it is said in `init.sh`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::package::Image;
use crate::programs::{self, output};

const INIT: &str = include_str!("init.sh");
/// Programs that tests call, where the host has them; a test that misses one says so. `cksum` is for `init.sh`.
const PROGRAMS: [&str; 6] = ["ip", "ss", "nft", "tc", "conntrack", "cksum"];
/// Variables of the person that reach the tests.
const VARIABLES: [&str; 2] = ["SOCKEYE_TEST_SCALE", "RUST_BACKTRACE"];
/// How much of a test's work is done in a machine where nothing else is said.
const SCALE: &str = "SOCKEYE_TEST_SCALE=0.05";

/// Writes the archive for this kernel and returns its path.
///
/// # Errors
/// What could not be done, for a person.
pub(crate) fn build(
    image: &Image,
    tests: &Path,
    filters: &[String],
    seconds: u64,
) -> Result<PathBuf, String> {
    let (root, archive) = (image.place.join("root"), image.place.join("initrd.cpio"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    output(Command::new("rm").arg("-rf").arg(&root))?;
    let directories = ["dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin", "usr/lib"];
    let directories = directories.into_iter().chain(["usr/lib64", "usr/local/bin"]);
    output(Command::new("mkdir").arg("-p").args(directories.map(|name| root.join(name))))?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        let link = root.join(name);
        std::os::unix::fs::symlink(format!("usr/{name}"), &link)
            .map_err(|error| format!("making {}: {error}", text(&link)))?;
    }
    let busybox = programs::find("busybox").ok_or("busybox is missing")?;
    output(Command::new("cp").arg(busybox).arg(root.join("usr/bin/busybox")))?;
    for program in PROGRAMS.iter().filter_map(|name| programs::find(name)) {
        put(&program, &root)?;
        libraries(&program, &root)?;
    }
    libraries(tests, &root)?;
    output(Command::new("strip").args(["--strip-debug", "-o"]).args([&root.join("tests"), tests]))?;
    for known in ["/etc/protocols", "/etc/services"].map(Path::new).into_iter().filter(|file| file.exists()) {
        put(known, &root)?;
    }
    let files = [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n".to_owned()),
        ("etc/group", "root:x:0:\n".to_owned()),
        ("environment", environment(filters, seconds)),
        ("init", INIT.to_owned()),
    ];
    for (name, content) in files {
        let file = root.join(name);
        std::fs::write(&file, content).map_err(|error| format!("writing {}: {error}", text(&file)))?;
    }
    output(Command::new("chmod").arg("755").arg(root.join("init")))?;
    output(Command::new("cp").arg("-a").arg(image.modules().join("lib/modules")).arg(root.join("usr/lib")))?;
    let pack = "cd \"$1\" && find . | cpio --quiet --format=newc --owner=0:0 --create >\"$2\"";
    output(Command::new("sh").args(["-ec", pack, "sh"]).args([&root, &archive]))?;
    output(Command::new("rm").arg("-rf").arg(&root))?;
    Ok(archive)
}

/// What `init.sh` reads.
fn environment(filters: &[String], seconds: u64) -> String {
    let mut text = format!("export {SCALE}\n");
    for name in VARIABLES {
        if let Ok(value) = std::env::var(name) {
            writeln!(text, "export {name}={}", quoted(&value)).expect("a string takes everything");
        }
    }
    let filters = if filters.is_empty() { "_".to_owned() } else { filters.join(" ") };
    write!(text, "seconds={seconds}\nfilters={}\n", quoted(&filters)).expect("a string takes everything");
    text
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The libraries of a program.
fn libraries(program: &Path, root: &Path) -> Result<(), String> {
    // A program without libraries is no failure.
    let listed =
        Command::new("ldd").arg(program).output().map_err(|error| format!("running ldd: {error}"))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let files = listed.split_whitespace().filter(|word| word.starts_with('/'));
    files.map(Path::new).try_for_each(|file| put(file, root))
}

/// A copy at the place where the file is on the host.
fn put(file: &Path, root: &Path) -> Result<(), String> {
    output(Command::new("cp").args(["--dereference", "--parents"]).args([file, root])).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_process_reads_is_a_shell_script() {
        let text = environment(&["udp".into(), "it's".into()], 90);
        assert!(text.starts_with("export SOCKEYE_TEST_SCALE="), "{text}");
        assert!(text.ends_with("seconds=90\nfilters='udp it'\\''s'\n"), "{text}");
        // Every name of a test has that character.
        assert!(environment(&[], 90).ends_with("filters='_'\n"));
    }
}
