//! Who may use the API and over what, made of the configuration: names become numbers, the address for TCP is read,
//! and so is the token. What follows from it for a request is decided by `endpoints`.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use endpoints::{InvalidToken, SocketAccess, Token};
use rustix::fs::{Mode, OFlags};

use crate::config::{Config, ConfigError};

/// Where the names of users are. Read as a file, because a statically linked program cannot ask otherwise.
const USERS: &str = "/etc/passwd";

/// Where the names of groups are.
const GROUPS: &str = "/etc/group";

/// More than the longest token with blanks around it.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Permission bits of a file for others than its owner and group.
const OTHERS: u32 = 0o007;

/// Who may use the API and over what.
#[derive(Debug)]
pub struct Access {
    /// Over the unix socket.
    pub socket: SocketAccess,
    /// Over TCP: the address, and the token that is needed there.
    pub tcp: Option<(SocketAddr, Token)>,
}

/// The configuration of `[listen]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The permissions of the socket are none.
    #[error(transparent)]
    Mode(#[from] ConfigError),
    /// There is no user or group of this name.
    #[error("{key} = \"{name}\": there is no such name in {file}; create it, or give a number")]
    UnknownName {
        /// The key, with its section.
        key: &'static str,
        /// The name.
        name: String,
        /// Where it is missing.
        file: &'static str,
    },
    /// The users or groups cannot be read.
    #[error("{key}: cannot read {file}")]
    Names {
        /// The key, with its section.
        key: &'static str,
        /// The file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The address for TCP is none.
    #[error("listen.tcp = \"{0}\": an address and a port, such as \"127.0.0.1:8125\" or \"[::1]:8125\"")]
    Address(String),
    /// There is an address for TCP and no token.
    #[error(
        "listen.tcp = \"{address}\" without listen.token_file: TCP does not tell who connects, so {} could use the API; \
         make a token with `(umask 077; head -c 24 /dev/urandom | base64 > /etc/sockeye/token)` and set \
         listen.token_file to its path",
        whoever_connects(address)
    )]
    NoToken {
        /// The address.
        address: SocketAddr,
    },
    /// The file of the token cannot be read.
    #[error("listen.token_file: cannot read {}", .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read or write the file of the token.
    #[error(
        "listen.token_file: others than its owner and group may use {0} (mode {mode:04o}); make another token, since \
         this one may be known, and run `chmod o= {0}`",
        .path.display()
    )]
    OpenTokenFile {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The token is too short, too long, or has a character that is not allowed.
    #[error("listen.token_file: {}: {source}", .path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What a token is.
        source: InvalidToken,
    },
}

fn whoever_connects(address: &SocketAddr) -> &'static str {
    if address.ip().is_loopback() { "every user of this host" } else { "everybody who reaches this address" }
}

impl Access {
    /// What the configuration says.
    ///
    /// # Errors
    /// [`AccessError`] names the key and says what to do.
    pub fn of(config: &Config) -> Result<Self, AccessError> {
        let listen = &config.listen;
        let socket = SocketAccess {
            mode: config.socket_mode()?,
            owner: number_of("listen.owner", &listen.owner, USERS)?,
            group: number_of("listen.group", &listen.group, GROUPS)?,
        };
        let tcp = if listen.tcp.is_empty() { None } else { Some(tcp(&listen.tcp, &listen.token_file)?) };
        Ok(Self { socket, tcp })
    }
}

fn tcp(address: &str, token_file: &Path) -> Result<(SocketAddr, Token), AccessError> {
    let address: SocketAddr = address.parse().map_err(|_| AccessError::Address(address.to_owned()))?;
    if token_file.as_os_str().is_empty() {
        return Err(AccessError::NoToken { address });
    }
    let path = token_file.to_owned();
    let text = read_token(token_file)?;
    let token = Token::parse(&text).map_err(|source| AccessError::Token { path, source })?;
    Ok((address, token))
}

/// The content of the token's file, if it is closed to others.
fn read_token(path: &Path) -> Result<String, AccessError> {
    let failed = |source| AccessError::TokenFile { path: path.to_owned(), source };
    // A pipe that nobody writes to must not hold up the start.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is no file")));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(AccessError::OpenTokenFile { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    file.take(TOKEN_FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    // What is no text has no place in a token, and neither has what stands for it.
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The number of a user or group that is given by number, or by its name in the file; `None` for none.
fn number_of(key: &'static str, name: &str, file: &'static str) -> Result<Option<u32>, AccessError> {
    if name.is_empty() {
        return Ok(None);
    }
    let unknown = || AccessError::UnknownName { key, name: name.to_owned(), file };
    let number = match name.parse() {
        Ok(number) => number,
        Err(_) => {
            let names = std::fs::read_to_string(file);
            let names = names.map_err(|source| AccessError::Names { key, file, source })?;
            number_in(&names, name).ok_or_else(unknown)?
        }
    };
    // The largest number means nobody to the kernel: the file would keep its owner.
    if number == u32::MAX { Err(unknown()) } else { Ok(Some(number)) }
}

/// The number that stands two fields after the name, in `/etc/passwd` and in `/etc/group`.
fn number_in(names: &str, name: &str) -> Option<u32> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    };
    names.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    /// A file that is removed at the end.
    struct TokenFile(PathBuf);

    impl TokenFile {
        fn new(content: impl AsRef<[u8]>, mode: u32) -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("sockeye-token-{}-{number}", std::process::id()));
            fs::write(&path, content).expect("the temporary directory is writable");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
            Self(path)
        }
    }

    impl Drop for TokenFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn with(set: impl FnOnce(&mut Config)) -> Result<Access, String> {
        let mut config = Config::default();
        set(&mut config);
        Access::of(&config).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    fn over_tcp(address: &str, token_file: &Path) -> Result<Access, String> {
        with(|config| {
            config.listen.tcp = address.to_owned();
            config.listen.token_file = token_file.to_owned();
        })
    }

    #[test]
    fn without_a_word_the_socket_belongs_to_the_process_and_there_is_no_tcp() {
        let access = with(|_| {}).expect("the defaults are valid");
        assert_eq!(access.socket, SocketAccess { mode: 0o660, owner: None, group: None });
        assert!(access.tcp.is_none());
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let access = with(|config| {
            config.listen.owner = "root".into();
            config.listen.group = "1234".into();
        });
        let socket = access.expect("every host has root").socket;
        assert_eq!((socket.owner, socket.group), (Some(0), Some(1234)));
        let names = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:50::/:/bin/sh\nbroken\nodd:x:many:1\n";
        assert_eq!(number_in(names, "me"), Some(1000));
        assert_eq!([number_in(names, "m"), number_in(names, "broken"), number_in(names, "odd")], [None; 3]);
        for (name, file) in
            [("no such name", "/etc/passwd"), ("-1", "/etc/passwd"), ("4294967295", "/etc/passwd")]
        {
            let said = with(|config| config.listen.owner = name.into()).expect_err("it is refused");
            assert!(said.contains(&format!("listen.owner = \"{name}\"")) && said.contains(file), "{said}");
        }
        let said = with(|config| config.listen.group = "nobody here".into()).expect_err("it is refused");
        assert!(said.contains("listen.group = \"nobody here\"") && said.contains("/etc/group"), "{said}");
    }

    #[test]
    fn tcp_is_an_address_and_a_port_with_a_token() {
        let token = TokenFile::new(format!("  {TOKEN}\n"), 0o640);
        for address in ["127.0.0.1:0", "[::1]:8125", "0.0.0.0:1"] {
            let access = over_tcp(address, &token.0).expect("it is an address");
            assert_eq!(access.tcp.map(|(address, _)| address.to_string()).as_deref(), Some(address));
        }
        for address in ["localhost:8125", "8125", "127.0.0.1", ":8125", "127.0.0.1:99999", "::1:8125x"] {
            let said = over_tcp(address, &token.0).expect_err("it is no address");
            assert!(
                said.contains(&format!("listen.tcp = \"{address}\"")) && said.contains("127.0.0.1:8125"),
                "{said}"
            );
        }
    }

    #[test]
    fn tcp_without_a_token_is_refused_with_who_could_use_it() {
        for (address, who) in [
            ("127.0.0.1:8125", "every user of this host"),
            ("0.0.0.0:8125", "everybody who reaches this address"),
        ] {
            let said = over_tcp(address, Path::new("")).expect_err("it is refused");
            assert!(
                said.contains(address) && said.contains(who) && said.contains("listen.token_file"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_token_that_others_may_read_or_write_is_refused_with_the_way_to_close_it() {
        for mode in [0o604, 0o642, 0o641, 0o666, 0o777] {
            let token = TokenFile::new(TOKEN, mode);
            let said = over_tcp("127.0.0.1:0", &token.0).expect_err("it is open");
            let path = token.0.display();
            assert!(
                said.contains(&format!("mode 0{mode:o}")) && said.contains(&format!("chmod o= {path}")),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for content in [&b""[..], b"short", b"0123456789 abcdef", b"0123456789abcde\xff", &[b'x'; 5000]] {
            let token = TokenFile::new(content, 0o600);
            let said = over_tcp("127.0.0.1:0", &token.0).expect_err("it is none");
            assert!(said.contains("16 to 512 visible ASCII characters"), "{said}");
            assert!(said.contains(&*token.0.to_string_lossy()), "{said}");
        }
        let said = over_tcp("127.0.0.1:0", Path::new("/nonexistent/token")).expect_err("there is none");
        assert!(said.contains("cannot read /nonexistent/token: No such file"), "{said}");
        let said = over_tcp("127.0.0.1:0", &std::env::temp_dir()).expect_err("it is a directory");
        assert!(said.contains("it is no file"), "{said}");
    }
}
