//! How a name is written: in lower case, without the dot at its end, and with escapes for what is no plain character.

use std::fmt::Write;

use domain::base::ParsedName;

/// Bytes of a written name at most. A name of plain characters cannot be longer.
pub(super) const NAME_BYTES_MAX: usize = 253;

/// Writes a name into `text`, in place of what it held. The root is a dot. Dots and backslashes within a label follow a
/// backslash; bytes that are no visible character of ASCII are three decimal digits after one.
///
/// False when it would be longer than [`NAME_BYTES_MAX`], which only escapes can make of it. `text` is of no use then.
pub(super) fn write(name: &ParsedName<&[u8]>, text: &mut String) -> bool {
    text.clear();
    for label in name.iter().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label.as_slice() {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
                b'!'..=b'~' => text.push(char::from(byte.to_ascii_lowercase())),
                _ => write!(text, "\\{byte:03}").expect("a string takes everything"),
            }
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    text.len() <= NAME_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use domain::dep::octseq::Parser;

    use super::*;

    fn written(wire: &[u8]) -> Option<String> {
        let name = ParsedName::parse(&mut Parser::from_ref(wire)).expect("a name");
        let mut text = "what was here before".to_owned();
        write(&name, &mut text).then_some(text)
    }

    #[test]
    fn a_name_is_in_lower_case_and_has_no_dot_at_its_end() {
        assert_eq!(written(b"\x03wWw\x07Example\x03COM\x00").as_deref(), Some("www.example.com"));
        assert_eq!(written(b"\x00").as_deref(), Some("."));
    }

    #[test]
    fn odd_bytes_are_escaped() {
        assert_eq!(written(b"\x06a.\\ \x00\xff\x01_\x00").as_deref(), Some(r"a\.\\\032\000\255._"));
    }

    #[test]
    fn a_name_is_not_longer_than_the_bound() {
        let labels = |byte: u8| {
            let mut wire = [&[63][..], &[byte; 63]].concat().repeat(3);
            wire.extend([&[61][..], &[byte; 61], &[0]].concat());
            wire
        };
        assert_eq!(written(&labels(b'a')).map(|text| text.len()), Some(NAME_BYTES_MAX));
        assert_eq!(written(&labels(0xff)), None);
    }
}
