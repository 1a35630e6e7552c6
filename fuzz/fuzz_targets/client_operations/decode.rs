//! What the bytes of an input mean. Every input means something.
//!
//! The first byte says how much is kept of what has ended. Each step is one byte, its kind in the upper five bits and
//! who is concerned in the lower three, so that a changed bit changes one thing. Steps that say more have one byte more.
//! What is missing at the end is zero.

use std::fmt;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};

use crate::model::host::{BUSY, Bounds, READERS, UNBOUNDED};
use crate::model::step::{After, Step};

/// Closed connections that are kept: few, and about as many as are kept in one piece.
const CLOSED_RECORDS: [usize; 8] = [UNBOUNDED, 1, 2, 3, 4, 63, 64, 130];
/// Roll-ups that are kept.
const ROLLUPS: [usize; 8] = [UNBOUNDED, 0, 1, 2, 3, 5, 64, 70];

/// The limits and the steps.
pub(crate) struct Input {
    pub(crate) bounds: Bounds,
    pub(crate) steps: Vec<Step>,
}

impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        let mut bytes = bytes.iter().copied();
        let limits = usize::from(bytes.next().unwrap_or(0));
        let bounds = Bounds { closed_records: CLOSED_RECORDS[limits % 8], rollups: ROLLUPS[limits / 8 % 8] };
        let mut steps = Vec::new();
        while let Some(byte) = bytes.next() {
            steps.push(step(byte, &mut bytes));
        }
        Self { bounds, steps }
    }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let all = bytes.len();
        Ok(Self::from(bytes.bytes(all)?))
    }
}

/// As one writes them in a test, however it is to be printed.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.bounds)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "Step::{step:?},"))
    }
}

/// The step of one byte. What happens often has several kinds, what happens to all sockets is one of those of the rest.
fn step(byte: u8, rest: &mut impl Iterator<Item = u8>) -> Step {
    let (kind, who) = (byte >> 3, usize::from(byte & 7));
    let socket = who % BUSY;
    let (reader, flag) = (who % READERS, who / READERS % 2 == 1);
    let mut more = || rest.next().unwrap_or(0);
    let poll = |after| Step::Poll { reader, after };
    match kind {
        0..=2 => grow(socket, more()),
        3 if who < BUSY => Step::HalfClose(socket),
        3 => Step::Adopt { socket: 2 * (who - BUSY), sent: 500 },
        4..=6 => Step::Read(socket),
        7 => Step::Backwards(socket),
        8 => Step::Late(socket),
        9 => Step::Miss(socket),
        10 => Step::RollUp { connections: more() % 5, sent: 7 },
        11..=13 => Step::Close(socket),
        14 => Step::Vanish(socket),
        15 => match who {
            5 => Step::Fill { sent: 1 },
            6 => Step::Fill { sent: 0 },
            7 => Step::Clear,
            _ => Step::Crowd { socket, connections: more() % 80 },
        },
        16 | 17 => Step::Register { reader, asks: flag },
        18 => Step::Remove(reader),
        19 => Step::Begin { reader, after: After::Itself },
        20 => Step::Begin { reader, after: if flag { After::Pending } else { After::Acknowledged } },
        21 | 22 => poll(After::Itself),
        23 | 24 => poll(After::Pending),
        25 => poll(After::Acknowledged),
        26 => poll(After::Number(u64::from(more() % 12))),
        27 => Step::Answer(reader),
        28 | 29 => Step::End { reader, delivered: flag },
        30 => Step::Replay { reader, delivered: flag },
        _ => Step::Wait(u64::from(more() % 16)),
    }
}

/// Traffic: how much each way is in half a byte.
fn grow(socket: usize, much: u8) -> Step {
    let each = |half: u8| u32::from(half) * 67;
    Step::Grow { socket, sent: each(much & 15), received: each(much >> 4) }
}
