//! The socket file: made with its permissions before anyone can see it, never taken from a live daemon,
//! removed only if it is still ours. Accepting is not its business.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::access::SocketAccess;
use crate::error::EndpointError;

/// Mode of a directory that is made for the socket.
const DIRECTORY_MODE: u32 = 0o755;

/// A listening unix socket. Dropped, its file is removed if it is still the one that was made.
#[derive(Debug)]
pub struct BoundSocket {
    // Dropped first: while the listener lives, no other file can get the inode number by which ours is known.
    pub(crate) file: SocketFile,
    pub(crate) listener: UnixListener,
    pub(crate) access: SocketAccess,
}

impl BoundSocket {
    /// Listens on `path`, for those that `access` names.
    ///
    /// A socket file on which nobody listens is replaced. The directory is made, with mode 0755, when only
    /// it is missing.
    ///
    /// # Errors
    /// [`EndpointError`]: the path is in use by another daemon, is no socket, or cannot be made.
    pub fn bind(path: &Path, access: SocketAccess) -> Result<Self, EndpointError> {
        if path.file_name().is_none() || SocketAddrUnix::new(path).is_err() {
            return Err(EndpointError::SocketPath { path: path.to_owned() });
        }
        make_directory(path)?;
        clear_path(path)?;
        let hidden = hidden_beside(path);
        let listener = UnixListener::bind(&hidden).map_err(failed("bind", &hidden))?;
        let mut file = SocketFile::at(&hidden)?;
        fs::set_permissions(&hidden, Permissions::from_mode(access.mode))
            .map_err(failed("set the mode of", path))?;
        if access.owner.is_some() || access.group.is_some() {
            chown(&hidden, access.owner, access.group).map_err(failed("set the owner and group of", path))?;
        }
        match renameat_with(CWD, &hidden, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => file.path = path.to_owned(),
            Err(Errno::EXIST) => {
                return Err(EndpointError::InUse { path: path.to_owned() });
            }
            Err(error) => return Err(failed("create", path)(error.into())),
        }
        Ok(Self { file, listener, access })
    }

    /// Where clients find it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The file of a socket that we made.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> Result<Self, EndpointError> {
        let metadata = fs::symlink_metadata(path).map_err(failed("inspect", path))?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn is_still_there(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_still_there() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

fn make_directory(path: &Path) -> Result<(), EndpointError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => return Ok(()),
    };
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(EndpointError::DirectoryMissing { path: path.to_owned() })
        }
        // A directory that is there on a file system where none can be made.
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => Err(failed("create the directory", directory)(error)),
    }
}

/// Removes a socket file on which nobody listens; refuses everything else.
fn clear_path(path: &Path) -> Result<(), EndpointError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("inspect", path)(error)),
    };
    if !found.file_type().is_socket() {
        return Err(EndpointError::NotASocket { path: path.to_owned() });
    }
    match probe(path) {
        Err(Errno::CONNREFUSED) => remove_stale(path, (found.dev(), found.ino())),
        // EAGAIN: somebody listens, and more connections wait than he takes.
        Ok(()) | Err(Errno::AGAIN) => Err(EndpointError::InUse { path: path.to_owned() }),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed("connect to", path)(error.into())),
    }
}

/// Connects without ever waiting.
fn probe(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

/// Removes the socket file that was found stale, and only that one: another daemon that starts now may have
/// replaced it since. So it is moved aside first, and put back if it is a different file.
fn remove_stale(path: &Path, stale: (u64, u64)) -> Result<(), EndpointError> {
    let aside = hidden_beside(path);
    fs::rename(path, &aside).map_err(failed("replace", path))?;
    let moved = fs::symlink_metadata(&aside).map_err(failed("inspect", &aside))?;
    if (moved.dev(), moved.ino()) == stale {
        return fs::remove_file(&aside).map_err(failed("remove", &aside));
    }
    renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE)
        .map_err(|error| failed("put back", path)(error.into()))?;
    Err(EndpointError::InUse { path: path.to_owned() })
}

/// A fresh name in the same directory.
fn hidden_beside(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".s{}-{number}", process::id()))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EndpointError {
    let path = path.to_owned();
    move |source| EndpointError::Path { operation, path, source }
}
