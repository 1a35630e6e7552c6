//! What an answer must be, whatever was asked.

/// Panics when the answer is not one of those that the documentation knows. Nothing at all is an answer to what is no
/// request.
pub(crate) fn check(sent: &[u8], read: &[u8]) {
    let mut rest = read;
    while !rest.is_empty() {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else { panic!("{}: no head: {}", shown(sent), shown(rest)) };
        let head = std::str::from_utf8(&rest[..end]).expect("a head is text");
        let status: u16 = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        assert!(head.starts_with("HTTP/1."), "{}: {head}", shown(sent));
        assert!(status < 500, "{}: {head}", shown(sent));
        rest = &rest[end + 4..];
        let length = header(head, "content-length").and_then(|length| length.parse::<usize>().ok());
        let Some(body) = length.and_then(|length| rest.get(..length)) else {
            // What has no length is streamed, or is the answer to HEAD.
            return;
        };
        check_error(sent, status, head, body);
        rest = &rest[body.len()..];
    }
}

/// An error that an endpoint answers says in JSON what it is, which is enough to look for here; those of HTTP itself have no body.
fn check_error(sent: &[u8], status: u16, head: &str, body: &[u8]) {
    if status < 400 || body.is_empty() {
        return;
    }
    let text = std::str::from_utf8(body).unwrap_or_else(|_| panic!("{}: {}", shown(sent), shown(body)));
    let is_object = text.starts_with('{') && text.ends_with('}');
    let says_what = match header(head, "content-type") {
        Some("application/problem+json") => text.contains(&format!("\"status\":{status},")),
        Some("application/json") => text.starts_with("{\"error\":\""),
        _ => false,
    };
    assert!(is_object && says_what, "{}: {head}: {text}", shown(sent));
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}
