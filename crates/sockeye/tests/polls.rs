//! Polls as the state thread treats them, without its kernel side and without HTTP: the test tells when a pass has
//! ended. Which poll may begin when is tested in `endpoints`.

use collect::{CollectError, KernelCounts, PassRequests, ProgramCosts, Report, Support};
use deltas::{Ask, ClientId, ClientLimits, ClientState, Peer, Refusal, Settings};
use endpoints::{Backend, Poll, PollAnswer, Query};
use sockeye::state::{StateLimits, StateQueue, StateThread};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::{RecvError, TryRecvError};

struct World {
    state: StateThread,
    queue: StateQueue,
    requests: PassRequests,
    runtime: tokio::runtime::Runtime,
}

/// A poll that was asked for.
struct Asked {
    begun: oneshot::Receiver<()>,
    answer: oneshot::Receiver<Result<PollAnswer, Refusal>>,
}

fn id() -> ClientId {
    ClientId::parse("a").expect("a valid id")
}

impl World {
    /// With one client.
    fn new() -> Self {
        let requests = PassRequests::new().expect("there are descriptors");
        let limits = StateLimits {
            live_connections: 10,
            filter: connections::Filter::default(),
            clients: ClientLimits::default(),
            freshness_ns: 0,
            listed: Vec::new(),
            about: None,
        };
        let now = collect::kernel_now();
        let state =
            StateThread::start(limits, requests.clone(), "test", now, None).expect("there are threads");
        let queue = state.open(
            "test",
            String::new(),
            &Support { capabilities: Vec::new(), programs: Vec::new() },
            None,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let world = Self { state, queue, requests, runtime };
        let (reply, registered) = oneshot::channel();
        world.ask(Query::Register { id: id(), peer: Peer::ROOT, settings: Settings::default(), reply });
        world.wait(registered).expect("the state runs").expect("there is room");
        world
    }

    fn ask(&self, query: Query) {
        self.runtime.block_on(self.queue.ask(query)).expect("the state runs");
    }

    fn wait<T>(&self, reply: oneshot::Receiver<T>) -> Result<T, RecvError> {
        self.runtime.block_on(reply)
    }

    fn poll(&self, after: Option<u64>) -> Asked {
        let ((begun, has_begun), (reply, answer)) = (oneshot::channel(), oneshot::channel());
        let ask = Ask { after, ..Ask::default() };
        self.ask(Query::Poll(Poll { id: id(), peer: Peer::ROOT, create: false, ask, begun, reply }));
        Asked { begun: has_begun, answer }
    }

    fn resolve(&self, answer: PollAnswer) {
        self.ask(Query::Resolve { ticket: answer.ticket, delivered: true });
    }

    /// The client; when it answers, the state has done all that it was told before.
    fn client(&self) -> ClientState {
        let (reply, client) = oneshot::channel();
        self.ask(Query::Client { id: id(), peer: Peer::ROOT, reply });
        self.wait(client).expect("the state runs").expect("it is registered").client
    }

    /// A pass has ended that began when so many had been asked for.
    fn end_pass(&self, request: u64) {
        let costs = ProgramCosts::default();
        let ended = Report::PassEnded { request, counts: KernelCounts::default(), costs };
        let _ = self.state.sink()(ended);
    }

    fn answered(&self, asked: Asked) -> PollAnswer {
        self.wait(asked.answer).expect("an answer").expect("it is not refused")
    }
}

#[test]
fn a_poll_that_waited_for_another_gets_a_pass_that_begins_after_that() {
    let world = World::new();
    let before = world.client().sequence;
    let first = world.poll(None);
    let mut second = world.poll(None);
    world.client();
    let passes = world.requests.request();
    world.end_pass(passes);
    let first = world.answered(first);
    world.client();
    assert_eq!(second.begun.try_recv(), Err(TryRecvError::Empty), "the first is not delivered");
    world.resolve(first);
    world.client();
    assert_eq!(second.begun.try_recv(), Ok(()));
    world.end_pass(passes);
    world.client();
    assert!(second.answer.try_recv().is_err(), "that pass had begun before");
    world.end_pass(passes + 1);
    let second = world.answered(second);
    assert_eq!((second.delta.sequence, second.delta.acknowledged), (before + 2, before + 1));
    world.resolve(second);
    assert_eq!((world.client().acknowledged, world.client().in_flight), (before + 2, false));
}

#[test]
fn a_poll_that_is_superseded_while_it_waits_for_a_pass_is_told_at_once() {
    let world = World::new();
    let (first, second) = (world.poll(None), world.poll(Some(0)));
    assert_eq!(world.wait(first.answer).expect("an answer").err(), Some(Refusal::Superseded));
    world.client();
    world.end_pass(world.requests.request());
    let mut answer = world.answered(second);
    let second = answer.delta.sequence;
    let third = world.poll(Some(second));
    world.client();
    assert_eq!(answer.superseded.try_recv(), Ok(()), "that its answer is of no use any more");
    world.end_pass(world.requests.request());
    assert_eq!(world.answered(third).delta.acknowledged, second);
}

#[test]
fn an_answer_that_nobody_waits_for_ends_its_poll() {
    let world = World::new();
    let poll = world.poll(None);
    assert!(world.client().in_flight);
    drop(poll);
    assert!(world.client().in_flight, "nobody has looked yet");
    world.end_pass(world.requests.request());
    assert!(!world.client().in_flight);
}

#[test]
fn when_the_kernel_side_fails_no_poll_is_left_waiting() {
    let world = World::new();
    let before = world.client().sequence;
    let (first, second) = (world.poll(None), world.poll(None));
    world.client();
    let _ = world.state.sink()(Report::Failed(CollectError::NoBtf));
    for poll in [first, second, world.poll(None), world.poll(Some(0))] {
        assert!(world.wait(poll.answer).is_err(), "there is no answer");
    }
    let client = world.client();
    assert_eq!((client.in_flight, client.pending, client.sequence), (false, None, before));
}

#[test]
fn a_poll_in_line_is_refused_when_its_client_is_removed() {
    let world = World::new();
    let (first, second) = (world.poll(None), world.poll(None));
    let (reply, removed) = oneshot::channel();
    world.ask(Query::Remove { id: id(), peer: Peer::ROOT, reply });
    assert_eq!(world.wait(removed).expect("the state runs"), Ok(()));
    assert_eq!(world.wait(second.answer).expect("an answer").err(), Some(Refusal::UnknownClient));
    world.end_pass(world.requests.request());
    assert_eq!(world.wait(first.answer).expect("an answer").err(), Some(Refusal::UnknownClient));
}

#[test]
fn no_answer_has_the_number_of_one_of_an_earlier_run() {
    let world = World::new();
    let poll = world.poll(None);
    world.client();
    world.end_pass(world.requests.request());
    let earlier = world.answered(poll).delta.sequence;
    drop(world);
    let begun_in_the_same_millisecond = |world: &World| world.client().sequence < earlier;
    let world = until_later(begun_in_the_same_millisecond);
    let refused = world.wait(world.poll(Some(earlier)).answer).expect("an answer").err();
    assert_eq!(refused, Some(Refusal::OutOfSequence { acknowledged: 0, pending: None }));
}

/// A run that did not begin in the millisecond of the one before, as no process can.
fn until_later(is_too_early: impl Fn(&World) -> bool) -> World {
    loop {
        let world = World::new();
        if !is_too_early(&world) {
            return world;
        }
    }
}
