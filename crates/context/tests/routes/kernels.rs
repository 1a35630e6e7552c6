//! Kernels that do not answer, or not what was asked.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use context::{Namespace, Namespaces, RouteLimits, Routes};

use crate::namespaces::look;

const NETNS: u32 = 7;

/// What it says to a question.
type Says = fn(&[u8]) -> Vec<Vec<u8>>;

/// Answers each question so, from a thread that ends with the socket.
struct Fake {
    says: Says,
    /// Keeps the other ends of sockets that nobody answers.
    silent: Mutex<Vec<UnixDatagram>>,
}

impl Namespaces for Fake {
    fn all(&self) -> Vec<Namespace> {
        vec![Namespace { inode: NETNS, path: "/nowhere".into() }]
    }

    fn netlink(&self, _: &Namespace, _: i32) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixDatagram::pair()?;
        ours.set_nonblocking(true)?;
        let says = self.says;
        if says(&[]).is_empty() {
            self.silent.lock().expect("nobody panics").push(theirs);
            return Ok(ours.into());
        }
        thread::spawn(move || {
            let mut question = [0; 1000];
            while let Ok(length @ 1..) = theirs.recv(&mut question) {
                for answer in says(&question[..length]) {
                    let _ = theirs.send(&answer);
                }
            }
        });
        Ok(ours.into())
    }
}

fn routes(says: Says) -> Routes {
    Routes::new(RouteLimits::default(), Arc::new(Fake { says, silent: Mutex::default() }))
}

/// A header of netlink with that type and the number of the question, and what follows it.
fn message(kind: u16, question: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).expect("it is short").to_ne_bytes();
    let sequence = question.get(8..12).unwrap_or(&[0; 4]);
    [&length, &kind.to_ne_bytes()[..], &[0; 2], sequence, &[0; 4], payload].concat()
}

/// A route over interface 3, and that interface.
fn sane(question: &[u8]) -> Vec<u8> {
    let attribute =
        |kind: u16, value: [u8; 4]| [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat();
    if question.get(4..6) == Some(&26u16.to_ne_bytes()[..]) {
        let header = [2, 32, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        message(24, question, &[&header[..], &attribute(4, 3u32.to_ne_bytes())].concat())
    } else {
        let header = [&[0, 0, 1, 0][..], &3u32.to_ne_bytes(), &[0; 8]].concat();
        message(16, question, &[&header[..], &attribute(3, *b"eth\0")].concat())
    }
}

#[test]
fn an_answer_is_taken_by_its_number_after_others_that_were_late() {
    let routes = routes(|question| {
        let late = message(24, &[], &[2, 32, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 9, 0, 0, 0]);
        vec![late, b"nonsense".to_vec(), sane(question)]
    });
    let found = look(&routes, NETNS, "10.0.0.1", "10.0.0.2").expect("it is told");
    assert_eq!((&*found.interface.name.text(), found.interface.index), ("eth", 3));
    assert_eq!((routes.counts().silent, routes.counts().asked), (0, 2));
}

#[test]
fn a_kernel_that_does_not_answer_is_given_up_on_and_not_asked_again_at_once() {
    let routes = routes(|_| Vec::new());
    let began = Instant::now();
    assert_eq!(look(&routes, NETNS, "10.0.0.1", "10.0.0.2"), None);
    let waited = began.elapsed();
    assert!((Duration::from_millis(100)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    assert_eq!(look(&routes, NETNS, "10.0.0.1", "10.0.0.2"), None);
    let counts = routes.counts();
    assert_eq!((counts.silent, counts.asked, counts.routes, counts.sockets), (1, 1, 1, 0));
}

#[test]
fn nobody_waits_for_a_silent_kernel_longer_than_they_have_time() {
    let routes = routes(|_| Vec::new());
    let looking = routes.look(Instant::now() + Duration::from_millis(20));
    let [one, other] = ["10.0.0.1:1", "10.0.0.2:1"].map(|end| end.parse().expect("a test address"));
    assert_eq!(looking.of(NETNS, one, other), None);
    let counts = routes.counts();
    assert_eq!((counts.out_of_time, counts.silent, counts.routes), (1, 0, 0));
}

#[test]
fn nonsense_is_no_answer() {
    let kinds: [Says; 5] = [
        |question| vec![message(24, question, &[1, 2, 3])],
        |question| vec![message(77, question, &[0; 40])],
        |question| vec![message(24, question, &[2, 32, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 4, 0])],
        |question| vec![vec![b'x'; 20_000], message(3, question, &[])],
        |question| vec![message(24, question, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 4, 0])],
    ];
    for says in kinds {
        let routes = routes(says);
        assert_eq!(look(&routes, NETNS, "10.0.0.1", "10.0.0.2"), None);
        assert_eq!(routes.counts().silent, 1);
    }
}

#[test]
fn a_refusal_is_that_there_is_no_way() {
    let routes = routes(|question| vec![message(2, question, &[0; 20])]);
    assert_eq!(look(&routes, NETNS, "10.0.0.1", "10.0.0.2"), None);
    assert_eq!((routes.counts().silent, routes.counts().unreachable), (0, 1));
}
