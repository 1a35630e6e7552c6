//! Messages out of segments: DNS over TCP, where each message follows its length in two bytes.
//!
//! Knows nothing of messages but how they begin. Segments may come twice, overlap, and come in any order; of each there may
//! be less than there was. The first one that is seen of a connection is taken to begin with a message, and so is the first
//! one after bytes that are missing for good.

use connections::{ConnectionId, KernelTime, Payload, Tuple};
use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;

/// Bytes of one direction that wait for others at most: those of one message and its length.
const WAITING_BYTES_MAX: usize = 2 + 65_535;
/// Segments of one direction that wait for others at most.
const HELD_MAX: usize = 32;
/// How long they wait at most: what has not come by then was missed, because who asked has asked again.
const HELD_NS_MAX: u64 = 5_000_000_000;
/// Who is further from what is expected than this belongs to another connection, or very much is missing.
const FAR: usize = 1 << 20;

/// Memory that a direction keeps beyond what waits.
const SPARE_BYTES_MAX: usize = 4096;

/// Connections to name servers, the longest unused first.
#[derive(Debug)]
pub(super) struct Streams {
    connections: LinkedHashMap<Tuple, Stream, RandomState>,
    max: usize,
}

/// What became of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fate {
    /// Bytes are missing, or are no messages, or another connection has the same ends: what waited of its direction is given
    /// up.
    pub(super) lost: bool,
    /// Another connection made room.
    pub(super) dropped_another: bool,
}

#[derive(Debug, Default)]
struct Stream {
    connection: Option<ConnectionId>,
    sent: Half,
    received: Half,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// The sequence number of the next byte; absent before the first one, and after bytes that are no messages.
    next: Option<u32>,
    /// The beginning of the next message, its length included.
    buffer: Vec<u8>,
    /// So many bytes that follow belong to a message that was told already.
    skip: usize,
    /// Segments behind a hole.
    held: Vec<Segment>,
    /// When something was last missing.
    lost_at: Option<KernelTime>,
}

#[derive(Debug)]
struct Segment {
    sequence: u32,
    bytes: Vec<u8>,
    whole_bytes: usize,
    at: KernelTime,
}

/// The messages cannot be told from one another any more.
#[derive(Debug)]
struct Lost;

impl Streams {
    pub(super) fn new(max: usize) -> Self {
        Self { connections: LinkedHashMap::with_hasher(RandomState::default()), max: max.max(1) }
    }

    /// Tells the messages that are complete with this segment, each with whether it is whole.
    pub(super) fn take(
        &mut self,
        payload: &Payload,
        sequence: u32,
        mut message: impl FnMut(&[u8], bool),
    ) -> Fate {
        let mut fate = Fate::default();
        if self.connections.to_back(&payload.tuple).is_none() {
            if self.connections.len() >= self.max {
                self.connections.pop_front();
                fate.dropped_another = true;
            }
            self.connections.insert(payload.tuple, Stream::default());
        }
        let stream = self.connections.get_mut(&payload.tuple).expect("it is there, or was put there");
        if payload.connection.is_some() && stream.connection != payload.connection {
            if stream.connection.is_some() {
                *stream = Stream::default();
            }
            stream.connection = payload.connection;
        }
        let half = if payload.sent { &mut stream.sent } else { &mut stream.received };
        fate.lost = match half.take(sequence, payload, &mut message) {
            Ok(lost) => lost,
            Err(Lost) => {
                *half = Half::default();
                true
            }
        };
        if fate.lost {
            half.lost_at = Some(payload.at);
        }
        fate
    }

    /// True when all messages that were received through that connection since then were told.
    pub(super) fn has_told_all(&self, tuple: &Tuple, since: KernelTime) -> bool {
        self.connections.get(tuple).is_some_and(|stream| {
            let received = &stream.received;
            let waits = !received.held.is_empty() || !received.buffer.is_empty();
            !waits && received.lost_at.is_none_or(|lost_at| lost_at < since)
        })
    }
}

impl Half {
    /// True when what waited was given up, and this segment is the first one again.
    fn take(
        &mut self,
        sequence: u32,
        payload: &Payload,
        message: &mut impl FnMut(&[u8], bool),
    ) -> Result<bool, Lost> {
        let bytes = &payload.bytes[..payload.bytes.len().min(WAITING_BYTES_MAX)];
        let whole_bytes = usize::try_from(payload.whole_bytes).unwrap_or(usize::MAX).max(bytes.len());
        if whole_bytes > FAR {
            return Err(Lost);
        }
        let ahead = sequence.wrapping_sub(self.next.unwrap_or(sequence)).cast_signed();
        let is_far = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX) > FAR;
        if ahead > 0 && !is_far && self.can_hold(bytes.len(), payload.at) {
            self.held.push(Segment { sequence, bytes: bytes.to_vec(), whole_bytes, at: payload.at });
            return Ok(false);
        }
        let is_lost = ahead > 0 || is_far;
        if is_lost {
            *self = Self::default();
        }
        self.append(sequence, bytes, whole_bytes, message)?;
        while let Some(place) = self.held.iter().position(|held| self.is_due(held.sequence)) {
            let Segment { sequence, bytes, whole_bytes, .. } = self.held.swap_remove(place);
            self.append(sequence, &bytes, whole_bytes, message)?;
        }
        if self.buffer.capacity() - self.buffer.len() > SPARE_BYTES_MAX {
            self.buffer.shrink_to(self.buffer.len().max(SPARE_BYTES_MAX));
        }
        if self.fits(0) { Ok(is_lost) } else { Err(Lost) }
    }

    /// Whether so many bytes may wait in addition.
    fn fits(&self, bytes: usize) -> bool {
        let held: usize = self.held.iter().map(|held| held.bytes.len()).sum();
        self.buffer.len() + held + bytes <= WAITING_BYTES_MAX
    }

    /// Whether so many bytes may wait for those that are missing, and these may still come.
    fn can_hold(&self, bytes: usize, now: KernelTime) -> bool {
        let is_in_time = |held: &Segment| now.nanoseconds_since(held.at) <= HELD_NS_MAX;
        self.held.len() < HELD_MAX && self.fits(bytes) && self.held.iter().all(is_in_time)
    }

    fn is_due(&self, sequence: u32) -> bool {
        self.next.is_some_and(|next| sequence.wrapping_sub(next).cast_signed() <= 0)
    }

    /// Adds a segment that begins with the next byte, or before it.
    fn append(
        &mut self,
        sequence: u32,
        mut bytes: &[u8],
        mut whole_bytes: usize,
        message: &mut impl FnMut(&[u8], bool),
    ) -> Result<(), Lost> {
        let next = self.next.unwrap_or(sequence);
        let mut leave_out = |count: usize| {
            bytes = &bytes[count.min(bytes.len())..];
            whole_bytes -= count.min(whole_bytes);
            whole_bytes
        };
        // What was there before.
        let old = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
        let fresh = leave_out(old);
        self.next = Some(next.wrapping_add(u32::try_from(fresh).map_err(|_| Lost)?));
        let skipped = self.skip.min(fresh);
        self.skip -= skipped;
        let missing = leave_out(skipped) - bytes.len();
        self.buffer.extend(bytes);
        self.tell_complete(message)?;
        if missing > 0 { self.tell_cut(missing, message) } else { Ok(()) }
    }

    fn tell_complete(&mut self, message: &mut impl FnMut(&[u8], bool)) -> Result<(), Lost> {
        let mut told = 0;
        loop {
            let rest = &self.buffer[told..];
            is_plausible(rest)?;
            let Some(whole) = length(rest).and_then(|length| rest.get(2..2 + length)) else { break };
            message(whole, true);
            told += 2 + whole.len();
        }
        self.buffer.drain(..told);
        Ok(())
    }

    /// The bytes that follow will never be there. If they all belong to the message that has begun, it is known where the
    /// next one begins.
    fn tell_cut(&mut self, missing: usize, message: &mut impl FnMut(&[u8], bool)) -> Result<(), Lost> {
        let length = length(&self.buffer).ok_or(Lost)?;
        message(&self.buffer[2..], false);
        let to_come = 2 + length - self.buffer.len();
        self.buffer.clear();
        self.skip = to_come.checked_sub(missing).ok_or(Lost)?;
        Ok(())
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))
}

/// Whether a message can begin so, as far as it is there: it has a header, of an operation that there is, and at most one
/// question.
fn is_plausible(bytes: &[u8]) -> Result<(), Lost> {
    let has_room = length(bytes).is_none_or(|length| length >= 12);
    let has_operation = bytes.get(4).is_none_or(|flags| (flags >> 3) & 0xf <= 6);
    let has_question = bytes.get(6..8).is_none_or(|count| matches!(count, [0, 0 | 1]));
    if has_room && has_operation && has_question { Ok(()) } else { Err(Lost) }
}
