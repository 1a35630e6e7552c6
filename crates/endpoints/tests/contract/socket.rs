//! The socket file: what is replaced, what is refused, and what is removed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use endpoints::{BoundSocket, EndpointError, SocketAccess};

use crate::world::{Directory, file_at};

const PRIVATE: SocketAccess = SocketAccess { mode: 0o600, owner: None, group: None };

fn names(directory: &Directory) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).expect("the directory is there");
    entries.map(|entry| entry.expect("it stays").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_socket_is_made_with_its_mode_and_removed_at_the_end() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    let group = rustix::process::getgid().as_raw();
    let bound = BoundSocket::bind(&path, SocketAccess { mode: 0o660, owner: None, group: Some(group) })
        .expect("the path is free");
    assert_eq!(bound.path(), path);
    let found = fs::symlink_metadata(&path).expect("it is there");
    assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (0o660, group));
    assert_eq!(names(&directory), ["api.sock"], "nothing else is left there");
    drop(bound);
    assert!(names(&directory).is_empty());
}

#[test]
fn a_socket_belongs_to_its_owner_and_group_before_anyone_can_see_it() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    let root = rustix::process::getuid().is_root();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    // Others than root may only give it to themselves.
    let (owner, group) = if root { (1007, 1050) } else { (uid, gid) };
    let access = SocketAccess { mode: 0o640, owner: Some(owner), group: Some(group) };
    let bound = BoundSocket::bind(&path, access).expect("the path is free");
    let found = fs::symlink_metadata(&path).expect("it is there");
    assert_eq!((found.permissions().mode() & 0o7777, found.uid(), found.gid()), (0o640, owner, group));
    drop(bound);
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    drop(UnixListener::bind(&path).expect("the path is free"));
    UnixStream::connect(&path).expect_err("nobody listens there");
    let bound = BoundSocket::bind(&path, PRIVATE).expect("it is replaced");
    UnixStream::connect(&path).expect("somebody listens there");
    assert_eq!(names(&directory), ["api.sock"]);
    drop(bound);
    assert!(!path.exists());
}

#[test]
fn a_live_socket_is_refused_and_left_alone() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    let first = BoundSocket::bind(&path, PRIVATE).expect("the path is free");
    let before = file_at(&path);
    let second = BoundSocket::bind(&path, PRIVATE).expect_err("somebody listens there");
    assert!(matches!(second, EndpointError::InUse { .. }), "{second:?}");
    assert!(second.to_string().contains("another daemon is listening on"), "{second}");
    assert_eq!((file_at(&path), names(&directory).len()), (before, 1));
    drop(first);
}

#[test]
fn a_live_socket_whose_queue_is_full_is_refused_without_waiting() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None)
            .expect("a socket");
    let address = rustix::net::SocketAddrUnix::new(&path).expect("a short path");
    rustix::net::bind(&listener, &address).expect("the path is free");
    rustix::net::listen(&listener, 0).expect("it is bound");
    let _waiting = UnixStream::connect(&path).expect("one fits into the queue");
    let refused = BoundSocket::bind(&path, PRIVATE).expect_err("somebody listens there");
    assert!(matches!(refused, EndpointError::InUse { .. }), "{refused:?}");
}

#[test]
fn what_is_no_socket_is_refused_and_left_alone() {
    let directory = Directory::new();
    let file = directory.path().join("file");
    fs::write(&file, "kept").expect("the directory is writable");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("the directory is writable");
    for path in [&file, &link] {
        let refused = BoundSocket::bind(path, PRIVATE).expect_err("it is no socket");
        assert!(matches!(refused, EndpointError::NotASocket { .. }), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "kept");
}

#[test]
fn one_missing_directory_is_made_and_two_are_not() {
    let directory = Directory::new();
    let path = directory.path().join("one/api.sock");
    let bound = BoundSocket::bind(&path, PRIVATE).expect("the directory is made");
    let made = fs::metadata(directory.path().join("one")).expect("it is there");
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
    drop(bound);
    let path = directory.path().join("two/three/api.sock");
    let refused = BoundSocket::bind(&path, PRIVATE).expect_err("two are missing");
    assert!(matches!(refused, EndpointError::DirectoryMissing { .. }), "{refused:?}");
}

#[test]
fn paths_that_no_client_could_use_are_refused() {
    let directory = Directory::new();
    let long = directory.path().join("x".repeat(108));
    for path in [Path::new(""), Path::new("/"), Path::new(".."), &long] {
        let refused = BoundSocket::bind(path, PRIVATE).expect_err("it is no name for a socket");
        assert!(matches!(refused, EndpointError::SocketPath { .. }), "{refused:?}");
    }
}

#[test]
fn a_file_that_is_not_ours_any_more_is_not_removed() {
    let directory = Directory::new();
    let path = directory.path().join("api.sock");
    let bound = BoundSocket::bind(&path, PRIVATE).expect("the path is free");
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "of another").expect("the directory is writable");
    drop(bound);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "of another");
}
