//! A directory of a test's own, removed with everything in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory. Every user may enter it, because some tests act as others than root.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short, since the path of a socket has at most 107 bytes.
        let path = std::env::temp_dir().join(format!("sockeye-e2e-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("the temporary directory is writable");
        let place = Self(path);
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("it is ours");
        place
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of something in it.
    pub fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.of(name);
        fs::write(&path, content).expect("it is ours");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
