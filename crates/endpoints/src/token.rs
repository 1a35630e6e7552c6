//! The token for TCP: which ones are good enough, and whether a request has it. Where it is kept is not known here.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// The shortest token, in bytes.
const TOKEN_BYTES_MIN: usize = 16;

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// What a request over TCP must have in its header: `Authorization: Bearer <token>`.
#[derive(Clone)]
pub struct Token(Padded);

/// The text is no good as a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible ASCII characters")]
pub struct InvalidToken;

impl Token {
    /// Takes the text without what is blank before and after it.
    ///
    /// # Errors
    /// [`InvalidToken`] unless it is 16 to 512 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let token = text.trim().as_bytes();
        let long_enough = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len());
        let valid = long_enough && token.iter().all(u8::is_ascii_graphic);
        if valid { Ok(Self(Padded::of(token))) } else { Err(InvalidToken) }
    }

    /// True when the header has this token, and no other.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        bearer(value.as_bytes()).is_some_and(|offered| Padded::of(offered).equals(&self.0))
    }
}

/// Not even a log may show it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What follows the scheme `Bearer`, in whatever case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"Bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && rest.first() == Some(&b' ');
    is_bearer.then(|| rest.trim_ascii())
}

/// A token with zeros after it, so that every comparison takes the same time, whatever the lengths and wherever the
/// first difference is.
#[derive(Clone)]
struct Padded {
    bytes: [u8; TOKEN_BYTES_MAX],
    length: u64,
}

impl Padded {
    fn of(token: &[u8]) -> Self {
        let mut bytes = [0; TOKEN_BYTES_MAX];
        bytes.iter_mut().zip(token).for_each(|(to, from)| *to = *from);
        Self { bytes, length: token.len() as u64 }
    }

    fn equals(&self, other: &Self) -> bool {
        (self.bytes.ct_eq(&other.bytes) & self.length.ct_eq(&other.length)).into()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn admits(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        Token::parse(TOKEN).expect("a good token").is_in(&headers)
    }

    #[test]
    fn tokens_are_16_to_512_visible_characters() {
        for good in [TOKEN, "  0123456789abcdef\n", "~!0123456789abcd", &"x".repeat(512)] {
            assert!(Token::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdé\u{e9}", "0123456789abcde\0"]
        {
            assert_eq!(Token::parse(bad).err(), Some(InvalidToken), "{bad:?}");
        }
        assert_eq!(Token::parse(&"x".repeat(513)).err(), Some(InvalidToken));
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        for good in ["Bearer 0123456789abcdef", "bEARER   0123456789abcdef ", "bearer 0123456789abcdef"] {
            assert!(admits(&[good]), "{good}");
        }
        let longer = format!("Bearer {TOKEN}{}", "x".repeat(1000));
        for bad in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdefg",
            "Bearer ",
            "Bearer",
            "Bearer0123456789abcdef",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            &longer,
        ] {
            assert!(!admits(&[bad]), "{bad}");
        }
        assert!(!admits(&[]));
        assert!(!admits(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]), "two are none");
    }

    #[test]
    fn a_token_is_not_told_apart_from_its_beginning_by_what_pads_it() {
        let padded = |token: &[u8]| Padded::of(token);
        assert!(!padded(b"a\0").equals(&padded(b"a")));
        assert!(!padded(&[b'x'; 513]).equals(&padded(&[b'x'; 512])));
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::parse(TOKEN).expect("a good token");
        assert!(!format!("{token:?}").contains(TOKEN));
    }
}
