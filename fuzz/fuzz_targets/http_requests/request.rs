//! How the bytes of an input become what is sent: as they are, or as parts of a request that reaches the endpoints.

/// What stands around the bytes; `@` is where the next part of them goes. Parts are separated by a zero.
const FRAMES: [&str; 16] = [
    "@",
    "GET @ HTTP/1.1\r\nHost: x\r\n@\r\nConnection: close\r\n\r\n",
    "@ /v1/clients/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "PUT /v1/clients/@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /v1/clients/@/connections?after=@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /v1/clients/a/connections?@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /v1/connections?@=@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /v1/connections?@ HTTP/1.1\r\nHost: x\r\nAccept: @\r\nAccept-Encoding: @\r\nConnection: close\r\n\r\n",
    "GET /network_tracer/connections?client_id=@&@ HTTP/1.1\r\nHost: x\r\nAccept: @\r\nConnection: close\r\n\r\n",
    "GET /network_tracer/register?@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /network_tracer/debug/@ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: @\r\nAccept: @\r\nAccept-Encoding: @\r\nConnection: close\r\n\r\n",
    "PUT /v1/clients/a HTTP/1.1\r\nHost: x\r\nContent-Length: #\r\nConnection: close\r\n\r\n@",
    "PUT /v1/clients/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n@\r\n\r\n@",
    "GET /@ HTTP/1.1\r\n@: @\r\n@: @\r\nConnection: close\r\n\r\n",
    "DELETE /v1/clients/@ HTTP/@\r\nHost: x\r\nAuthorization: @\r\nConnection: close\r\n\r\n",
];

/// What is sent for these bytes. The first chooses the frame.
pub(crate) fn made(bytes: &[u8]) -> Vec<u8> {
    let Some((first, rest)) = bytes.split_first() else { return Vec::new() };
    let frame = FRAMES[usize::from(*first) % FRAMES.len()];
    if frame == "@" {
        return rest.to_vec();
    }
    let mut parts = rest.split(|byte| *byte == 0);
    let mut sent = Vec::with_capacity(frame.len() + rest.len());
    for byte in frame.bytes() {
        match byte {
            b'@' => sent.extend(parts.next().unwrap_or_default()),
            b'#' => {
                let length = rest.split(|byte| *byte == 0).next().unwrap_or_default().len();
                sent.extend(length.to_string().bytes());
            }
            other => sent.push(other),
        }
    }
    sent
}
