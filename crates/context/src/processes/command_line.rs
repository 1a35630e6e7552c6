//! The command line of a process, from the bytes that the kernel keeps of it to arguments without secrets.

use super::scrub::Scrub;

/// Bytes of a command line that are looked at: more than are kept, because what is replaced may be longer.
pub(super) const LOOKED_AT_MAX: u16 = 4096;
/// Bytes of arguments that are kept.
pub(super) const KEPT_MAX: usize = 512;
/// Arguments that are kept: each costs about 48 bytes beside its own.
const ARGUMENTS_MAX: usize = 64;

/// Arguments, and whether some, or the end of one, were left out.
pub(super) type CommandLine = (Box<[Box<str>]>, bool);

/// Takes the bytes apart, arguments with a zero byte behind each; `is_cut` when there are more. `None` when there are no
/// arguments. Empty ones at the end do not count: a process that has overwritten its title leaves zeros there.
pub(super) fn parse(bytes: &[u8], is_cut: bool, scrub: &Scrub) -> Option<CommandLine> {
    let looked_at = bytes.get(..LOOKED_AT_MAX.into()).unwrap_or(bytes);
    let is_cut = is_cut || looked_at.len() < bytes.len();
    let all =
        looked_at.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned());
    let mut all: Vec<_> = all.collect();
    // With an end behind it, the last is followed by an empty one.
    let ends_cut = is_cut && !looked_at.ends_with(&[0]);
    while all.pop_if(|last| last.is_empty()).is_some() {}
    scrub.arguments(&mut all, ends_cut);
    let (mut room, mut leaves_out) = (KEPT_MAX, is_cut || all.len() > ARGUMENTS_MAX);
    let mut kept = Vec::new();
    for mut argument in all.into_iter().take(ARGUMENTS_MAX) {
        if argument.len() > room {
            leaves_out = true;
            argument.truncate(argument.floor_char_boundary(room));
            kept.extend((!argument.is_empty()).then(|| argument.into_boxed_str()));
            break;
        }
        room -= argument.len();
        kept.push(argument.into_boxed_str());
    }
    (!kept.is_empty()).then(|| (kept.into(), leaves_out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: &[u8], is_cut: bool) -> (Vec<String>, bool) {
        let (line, cut) = parse(bytes, is_cut, &Scrub::default()).unwrap_or_default();
        (line.iter().map(|argument| argument.to_string()).collect(), cut)
    }

    fn texts<const N: usize>(arguments: [&str; N], is_cut: bool) -> (Vec<String>, bool) {
        (arguments.map(str::to_owned).to_vec(), is_cut)
    }

    #[test]
    fn arguments_are_told_apart_and_a_title_is_one() {
        assert_eq!(parsed(b"a\0\0b c\0", false), texts(["a", "", "b c"], false));
        assert_eq!(parsed(b"nginx: worker process\0\0\0\0", false), texts(["nginx: worker process"], false));
        assert_eq!(parsed(b"sshd: u@pts/0", false), texts(["sshd: u@pts/0"], false));
        assert_eq!(parsed(b"a\0\xff\0", false), texts(["a", "\u{fffd}"], false));
        assert_eq!(parsed(b"a\0b", true), texts(["a", "b"], true));
        assert_eq!((parsed(b"", false), parsed(b"\0\0", false)), (texts([], false), texts([], false)));
    }

    #[test]
    fn a_secret_behind_what_is_kept_does_not_come_into_it() {
        let secret = format!("x\0--password={}\0", "s".repeat(600));
        assert_eq!(parsed(secret.as_bytes(), false), texts(["x", "--password=********"], false));
        assert_eq!(parsed(b"x\0--password\0", false), texts(["x", "--password"], false), "there is none");
        let long = [&b"x\0a://u:"[..], &b"s".repeat(5000)].concat();
        assert_eq!(
            parsed(&long, false),
            texts(["x", "a://u:********"], true),
            "what is not looked at may be its end"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_arguments() {
        let (line, is_cut) = parsed(&[&b"x\0"[..], &b"y".repeat(511), b"\0"].concat(), false);
        assert_eq!((line[1].len(), is_cut), (511, false));
        let (line, is_cut) = parsed(&[&b"x\0"[..], &b"y".repeat(512), b"\0z\0"].concat(), false);
        assert_eq!((line.len(), line[1].len(), is_cut), (2, 511, true));
        assert!(!parsed(&b"y\0".repeat(64), false).1);
        let (line, is_cut) = parsed(&b"y\0".repeat(65), false);
        assert_eq!((line.len(), is_cut), (64, true));
        let (line, _) = parsed(&[&b"x\0"[..], &[0xff; 600], b"\0"].concat(), false);
        assert_eq!(line[1].chars().count(), 170, "511 bytes have room for 170 of three");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in any::<Vec<u8>>(), is_cut in any::<bool>()) {
            let (line, _) = parsed(&bytes, is_cut);
            prop_assert!(line.iter().map(String::len).sum::<usize>() <= KEPT_MAX);
        }
    }
}
