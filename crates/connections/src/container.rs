//! The container that a process runs in, by the id that its runtime gave it.
//!
//! Knows the form of an id and nothing of runtimes; where an id stands in the path of a cgroup is not decided here.

use std::fmt;

/// Hexadecimal digits of an id.
const DIGITS: usize = 64;

/// The id of a container: 64 hexadecimal digits, as Docker, containerd, CRI-O and Podman give them, in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId([u8; DIGITS / 2]);

impl ContainerId {
    /// Reads an id; `None` if it is anything but 64 digits, of which letters are small.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != DIGITS {
            return None;
        }
        let mut id = [0; DIGITS / 2];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_64_small_hexadecimal_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(ContainerId::parse(&text).map(|id| id.to_string()), Some(text.clone()));
        for wrong in [&text[1..], &text.to_uppercase(), &format!("{text}0"), &format!("{}g", &text[1..]), ""]
        {
            assert_eq!(ContainerId::parse(wrong), None, "{wrong}");
        }
    }
}
