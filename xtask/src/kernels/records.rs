//! What a machine tells of itself: records that come over a serial line, each with its checksum.
//!
//! `init.sh` writes them. What follows from them is decided in `results`.

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// The release of the kernel; the machine is up.
    Kernel { release: String },
    /// How a capability is served: its name, the hook or nothing, and what is missing.
    Capability { name: String, hook: String, absent: String },
    /// A test begins.
    Started { test: String },
    /// A test has ended, after so many milliseconds.
    Ended { test: String, outcome: Outcome, milliseconds: u64 },
    /// A line that a failed test wrote.
    Output { test: String, line: String },
    /// The kernel complained while that test ran.
    Message { test: String, line: String },
    /// All is told, in so many records before this one.
    End { records: u64 },
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With this exit code; 124 and 137 are those of a test that was stopped.
    Failed(String),
    /// The class of the reason, and the reason.
    NotRun(String, String),
}

/// Reads a line: checksum, length, and the fields, with a tab between.
///
/// # Errors
/// What is wrong with it, for a person.
pub(crate) fn read(line: &[u8]) -> Result<Record, String> {
    let damaged = || format!("a damaged record: {:?}", String::from_utf8_lossy(line));
    let mut parts = line.splitn(3, |byte| *byte == b'\t');
    let mut number = || parts.next().and_then(|word| std::str::from_utf8(word).ok()?.parse::<u32>().ok());
    let (sum, length) = (number().ok_or_else(damaged)?, number().ok_or_else(damaged)?);
    let fields = parts.next().ok_or_else(damaged)?;
    if usize::try_from(length) != Ok(fields.len()) || sum != checksum(fields) {
        return Err(damaged());
    }
    let text = String::from_utf8_lossy(fields);
    record(&text).ok_or_else(|| format!("an unknown record: {text:?}"))
}

fn record(text: &str) -> Option<Record> {
    let (kind, rest) = text.split_once('\t')?;
    let fields: Vec<&str> = rest.split('\t').collect();
    let (first, last) = (fields[0].to_owned(), |from: usize| fields.get(from..).map(|rest| rest.join("\t")));
    Some(match kind {
        "kernel" => Record::Kernel { release: first },
        "capability" => {
            Record::Capability { name: first, hook: (*fields.get(1)?).to_owned(), absent: last(2)? }
        }
        "started" => Record::Started { test: first },
        "passed" | "failed" | "not-run" => {
            let outcome = match kind {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed((*fields.get(3)?).to_owned()),
                // Class, test and reason, as the test wrote them.
                _ => Outcome::NotRun((*fields.get(3)?).to_owned(), last(5)?),
            };
            let milliseconds = milliseconds(fields.get(2)?)?.saturating_sub(milliseconds(fields.get(1)?)?);
            Record::Ended { test: first, outcome, milliseconds }
        }
        "output" => Record::Output { test: first, line: last(1)? },
        "message" => Record::Message { test: first, line: last(1)? },
        "end" => Record::End { records: first.parse().ok()? },
        _ => return None,
    })
}

/// A time as `/proc/uptime` tells it: seconds with two digits behind the point.
fn milliseconds(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1000 + hundredths.parse::<u64>().ok()? * 10)
}

/// The CRC of the program `cksum`, as POSIX defines it: over the bytes, then over their count, least byte first.
fn checksum(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    let mut length = bytes.len();
    let count = std::iter::from_fn(|| {
        let byte = (length > 0).then(|| length.to_le_bytes()[0]);
        length >>= 8;
        byte
    });
    let sum = bytes.iter().copied().chain(count).fold(0, |sum: u32, byte| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum, _| {
            if sum >> 31 == 1 { (sum << 1) ^ POLYNOMIAL } else { sum << 1 }
        })
    });
    !sum
}

/// A record as it comes.
#[cfg(test)]
pub(super) fn framed(text: &str) -> Vec<u8> {
    format!("{}\t{}\t{text}", checksum(text.as_bytes()), text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_cksum() {
        // printf 123456789 | cksum, and the same with nothing.
        assert_eq!(checksum(b"123456789"), 930_766_865);
        assert_eq!(checksum(b""), 4_294_967_295);
    }

    #[test]
    fn a_record_that_has_lost_or_changed_a_byte_is_refused() {
        let whole = framed("passed\ta_test\t10.50\t12.75");
        let ended = Record::Ended { test: "a_test".into(), outcome: Outcome::Passed, milliseconds: 2250 };
        assert_eq!(read(&whole), Ok(ended));
        for place in 0..whole.len() {
            let mut shorter = whole.clone();
            shorter.remove(place);
            assert!(read(&shorter).is_err(), "without byte {place}");
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(read(&changed).is_err(), "with another byte {place}");
        }
    }

    #[test]
    fn every_kind_of_record_is_read() {
        let read = |text: &str| read(&framed(text)).unwrap();
        assert_eq!(read("kernel\t6.12.1\t4.00"), Record::Kernel { release: "6.12.1".into() });
        let capability =
            Record::Capability { name: "udp".into(), hook: "fentry/a, fentry/b".into(), absent: "".into() };
        assert_eq!(read("capability\tudp\tfentry/a, fentry/b\t"), capability);
        assert_eq!(read("started\ta"), Record::Started { test: "a".into() });
        let failed = Outcome::Failed("124".into());
        assert_eq!(
            read("failed\ta\t1.00\t1.01\t124"),
            Record::Ended { test: "a".into(), outcome: failed, milliseconds: 10 }
        );
        let outcome = Outcome::NotRun("kernel".into(), "no\tnft".into());
        assert_eq!(
            read("not-run\ta\t1.00\t1.00\tkernel\ta\tno\tnft"),
            Record::Ended { test: "a".into(), outcome, milliseconds: 0 }
        );
        assert_eq!(read("output\ta\tx\ty"), Record::Output { test: "a".into(), line: "x\ty".into() });
        assert_eq!(read("message\ta\tOops"), Record::Message { test: "a".into(), line: "Oops".into() });
        assert_eq!(read("end\t7\t9.00"), Record::End { records: 7 });
        assert!(super::read(&framed("nothing\tknown")).is_err());
    }
}
