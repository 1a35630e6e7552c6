//! The network namespaces that are polled, with their sockets.
//!
//! A socket keeps its namespace alive: where the path of a namespace leads elsewhere, its sockets are closed.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::socket;
use crate::audit::thread_time;
use crate::namespaces::NetworkNamespaces;

/// Namespaces are looked for at most so often, and for at most a fiftieth of a core.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_PAUSE_FACTOR: u32 = 50;
/// At most so many are polled: each takes two descriptors.
const SPACES_MAX: usize = 4096;

/// A namespace.
#[derive(Debug)]
pub(super) struct Space {
    path: PathBuf,
    /// The one that is asked.
    pub(super) asked: OwnedFd,
    /// The one that hears of ends.
    pub(super) heard: OwnedFd,
    /// Ends that the kernel had no room to tell it, up to the last look.
    pub(super) lost: u64,
}

/// All that could be entered, by inode number.
#[derive(Debug)]
pub(super) struct Spaces {
    pub(super) open: HashMap<u32, Space>,
    buffer_bytes: usize,
    look_after: Instant,
    /// Why the last namespace that could not be entered could not.
    pub(super) refused: Option<String>,
}

impl Spaces {
    /// Finds and enters them. `buffer_bytes`: for what was not heard yet of the ends in each.
    pub(super) fn find(buffer_bytes: usize) -> Self {
        let (open, look_after) = (HashMap::new(), Instant::now());
        let mut spaces = Self { open, buffer_bytes, look_after, refused: None };
        spaces.look();
        spaces
    }

    /// Looks for new ones and lets go of those that are gone, when it is time.
    pub(super) fn look_if_due(&mut self) {
        if Instant::now() >= self.look_after {
            self.look();
        }
    }

    fn look(&mut self) {
        let began = thread_time();
        self.open.retain(|inode, space| leads_to(&space.path, *inode));
        for (inode, path) in NetworkNamespaces.all() {
            if self.open.len() >= SPACES_MAX {
                self.refused = Some(format!("there are more than {SPACES_MAX}"));
                break;
            }
            if self.open.contains_key(&inode) {
                continue;
            }
            match enter(inode, path, self.buffer_bytes) {
                Ok(space) => {
                    self.open.insert(inode, space);
                }
                // It has gone meanwhile, which is no refusal.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => self.refused = Some(error.to_string()),
            }
        }
        let took = thread_time().saturating_sub(began);
        self.look_after = Instant::now() + (took * LOOK_PAUSE_FACTOR).max(LOOK_INTERVAL);
    }
}

fn enter(inode: u32, path: PathBuf, buffer_bytes: usize) -> std::io::Result<Space> {
    // First the one that hears: nothing ends unheard after a list.
    let heard = socket::listen(inode, &path, buffer_bytes)?;
    let asked = socket::open(inode, &path)?;
    Ok(Space { path, asked, heard, lost: 0 })
}

fn leads_to(path: &Path, inode: u32) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.ino() == u64::from(inode))
}
