//! Where things are: the root of the repository, the target directory, the files git knows, and how to call cargo.
//!
//! It reads the world and changes nothing.

use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::stop::{Stop, failed};

/// The places of this checkout.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The target directory in use, which is not `target/` where cargo is configured otherwise.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Finds the checkout that this program was built from.
    pub(crate) fn locate() -> Result<Self, Stop> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = parent(&manifest)?;
        // This program is TARGET/PROFILE/xtask, so its own place tells the target directory whatever set it.
        let own = std::env::current_exe().map_err(failed("finding this program"))?;
        let target = parent(&parent(&own)?)?;
        Ok(Self { root, target })
    }

    /// A cargo command in the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        // Only where the build needs it: it starts anew whenever this variable comes or goes.
        if std::env::var_os("CLANG").is_none()
            && let Some(clang) = packages::overlooked_clang()
        {
            cargo.env("CLANG", clang);
        }
        cargo
    }

    /// Files that git tracks or would track, as paths below the root.
    pub(crate) fn files(&self) -> Result<Vec<String>, Stop> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .map_err(failed("running git ls-files"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(Stop::Failed(format!("git ls-files: {}", message.trim())));
        }
        let listing = String::from_utf8_lossy(&output.stdout);
        let mut files: Vec<String> = listing.split_terminator('\0').map(str::to_owned).collect();
        // A file that is deleted but still in the index is listed and cannot be read.
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// How a person in the current directory names `path`: relative inside the workspace, else absolute.
    pub(crate) fn shown(&self, path: &Path) -> String {
        let shown = std::env::current_dir()
            .ok()
            .filter(|here| here.starts_with(&self.root) && path.starts_with(&self.root))
            .map_or_else(|| path.to_owned(), |here| relative(&here, path));
        shown.display().to_string()
    }
}

fn parent(path: &Path) -> Result<PathBuf, Stop> {
    path.parent()
        .map(Path::to_owned)
        .ok_or_else(|| Stop::Failed(format!("{} has no parent directory", path.display())))
}

/// The way from the directory `from` to `to`; both are absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_directory_of_the_person() {
        let socket = Path::new("/w/target/sockeye.sock");
        assert_eq!(relative(Path::new("/w"), socket), Path::new("target/sockeye.sock"));
        assert_eq!(relative(Path::new("/w/crates/encode"), socket), Path::new("../../target/sockeye.sock"));
    }
}
