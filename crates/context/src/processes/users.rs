//! Names of users, as the file of the host has them. Other sources of names, which a library would ask, are not asked.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::proc::read_at_most;

/// Bytes of the file that are read: users beyond it have no names.
const FILE_MAX: u64 = 1 << 20;
/// Users that have names, about 80 bytes each.
const USERS_MAX: usize = 16_384;
/// How often it is looked whether the file has changed, at most.
pub(super) const LOOKED_EVERY: Duration = Duration::from_secs(10);

/// Names by user id.
pub(super) type Names = HashMap<u32, Arc<str>, RandomState>;

/// The file, and when it was looked at.
#[derive(Debug)]
pub(super) struct Users {
    path: PathBuf,
    /// Inode number, length and time of change, to the nanosecond.
    read: Option<(u64, u64, i64, i64)>,
    looked_at: Option<Instant>,
}

impl Users {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: None, looked_at: None }
    }

    /// The names, if the file has changed. A file that cannot be read has none.
    pub(super) fn changed(&mut self, now: Instant) -> Option<Names> {
        if self.looked_at.is_some_and(|at| now.saturating_duration_since(at) < LOOKED_EVERY) {
            return None;
        }
        self.looked_at = Some(now);
        let file = fs::metadata(&self.path).ok();
        let version = file.map(|file| (file.ino(), file.len(), file.mtime(), file.mtime_nsec()));
        if version == self.read {
            return None;
        }
        self.read = version;
        Some(read_at_most(&self.path, FILE_MAX).map(|file| parse(&file)).unwrap_or_default())
    }
}

/// `name:password:uid:…`. Of several names of one user, the first is it.
fn parse(file: &[u8]) -> Names {
    let mut names = Names::default();
    for line in file.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, uid) = (fields.next(), fields.nth(1));
        let text = |field: Option<&'_ [u8]>| str::from_utf8(field?).ok().map(str::to_owned);
        let (Some(name), Some(uid)) = (text(name), text(uid).and_then(|uid| uid.parse().ok())) else {
            continue;
        };
        // Lines that begin like this stand for what other sources have.
        if names.len() < USERS_MAX && !name.is_empty() && !name.starts_with(['+', '-', '#']) {
            names.entry(uid).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn users_are_named_by_the_first_line_that_has_them() {
        let file =
            b"root:x:0:0:root:/root:/bin/sh\n# a:x:1:\nwww-data:x:33:33\ntoor:x:0:0::/:\n+nis:x:7:\n:x:8:\n\
            \xff:x:9:\nshort:x\nodd:x:-1:\nlarge:x:4294967296:\nnobody:x:65534";
        let mut names: Vec<_> = parse(file).into_iter().collect();
        names.sort();
        let expected = [(0, "root"), (33, "www-data"), (65534, "nobody")];
        assert_eq!(names, expected.map(|(uid, name)| (uid, name.into())));
    }

    #[test]
    fn the_number_of_users_is_bounded() {
        let lines: String = (0..=USERS_MAX).map(|uid| format!("u{uid}:x:{uid}:\n")).collect();
        assert_eq!(parse(lines.as_bytes()).len(), USERS_MAX);
    }

    #[test]
    fn the_file_is_read_again_when_it_has_changed_and_not_more_often_than_every_ten_seconds() {
        let path = std::env::temp_dir().join(format!("sockeye-passwd-{}", std::process::id()));
        let began = Instant::now();
        let mut users = Users::new(path.clone());
        let mut after =
            |seconds| users.changed(began + Duration::from_secs(seconds)).map(|names| names.len());
        assert_eq!(after(0), None, "there is none");
        fs::write(&path, "a:x:1:\n").expect("the temporary directory is writable");
        assert_eq!((after(9), after(10), after(20)), (None, Some(1), None));
        fs::write(&path, "a:x:1:\nb:x:2:\n").expect("it is writable");
        assert_eq!((after(29), after(30)), (None, Some(2)));
        fs::remove_file(&path).expect("it was made");
        assert_eq!((after(40), after(50)), (Some(0), None));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in any::<Vec<u8>>()) {
            parse(&bytes);
        }
    }
}
