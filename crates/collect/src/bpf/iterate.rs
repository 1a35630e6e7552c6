//! Reading a BPF iterator to its end, record by record.

use std::io::{ErrorKind, Read};

use libbpf_rs::{Iter, Link};

use crate::error::CollectError;
use crate::record::RECORD_BYTES;

/// The kernel gives at most 32 KiB per read.
const READ_BYTES: usize = 32 * 1024;

/// Runs the iterator once from its start, and hands over each chunk of whole records.
///
/// # Errors
/// [`CollectError::Iterate`]; what was handed over before stays valid.
pub(super) fn read_all(
    link: &Link,
    hook: &'static str,
    mut chunk: impl FnMut(&[[u8; RECORD_BYTES]]),
) -> Result<(), CollectError> {
    let failed = |source| CollectError::Iterate { hook, source };
    let mut iterator = Iter::new(link).map_err(|error| failed(std::io::Error::other(error)))?;
    let mut buffer = vec![0; READ_BYTES];
    let mut held = 0;
    loop {
        let free = buffer.get_mut(held..).unwrap_or_default();
        match iterator.read(free) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                held += count;
                let whole = buffer.get(..held).unwrap_or_default();
                let (records, rest) = whole.as_chunks::<RECORD_BYTES>();
                chunk(records);
                let consumed = held - rest.len();
                buffer.copy_within(consumed..held, 0);
                held -= consumed;
            }
            // The kernel pauses after a million elements without output, and when a signal comes.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
