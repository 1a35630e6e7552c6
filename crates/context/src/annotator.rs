//! All that is known, put together: for a batch of connections of an answer what each part knows.
//!
//! Owns which question goes to which part, and how long an answer may wait for all of them. What is remembered, and where it
//! comes from, is the business of the parts.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use connections::{
    Annotate, Annotation, Connection, Direction, End, Owner, Process, ProcessEvent, RollUp, Tuple,
};

use crate::batch::{AT_ONCE, Question};
use crate::ends::{EndCounts, EndLimits, Ends};
use crate::lent::Lender;
use crate::names::{DnsLimits, Lookups, Names, NamesCounts};
use crate::namespaces::Namespaces;
use crate::nat::{NatCounts, NatLimits, Translations};
use crate::processes::{ProcessCounts, ProcessSettings, Processes};
use crate::routes::{RouteCounts, RouteLimits, Routes};

/// So long an answer waits in all for what is not remembered: for files of `/proc`, and for answers of the kernel. The time
/// that it takes to write it, or its reader to take it, does not count.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is to be known, and how much of it is remembered. What is absent is not to be known.
#[derive(Debug, Clone, Default)]
pub struct ContextSettings {
    /// Processes.
    pub processes: Option<ProcessSettings>,
    /// Translations of addresses.
    pub nat: Option<NatLimits>,
    /// Names.
    pub names: Option<DnsLimits>,
    /// Routes.
    pub routes: Option<RouteLimits>,
    /// Other ends.
    pub ends: EndLimits,
}

/// What is known of who is behind connections.
pub struct Context {
    processes: Option<Processes>,
    nat: Option<Translations>,
    names: Option<Arc<Names>>,
    routes: Option<Routes>,
    ends: Ends,
    /// The number of the next answer.
    answers: AtomicU32,
    /// Why translations are not known at all.
    no_nat: Option<String>,
}

/// What every part remembers and has counted; absent of parts that are off.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContextCounts {
    /// Processes.
    pub processes: Option<ProcessCounts>,
    /// Translations.
    pub nat: Option<NatCounts>,
    /// Names.
    pub names: Option<NamesCounts>,
    /// Routes.
    pub routes: Option<RouteCounts>,
    /// Other ends.
    pub ends: EndCounts,
}

impl Context {
    /// Begins to learn. `path_of` gives the path of a cgroup in the hierarchy of version 2 by its id. With the context come
    /// the lookups of names, which whoever gets the messages of name servers owns, unless names are off.
    #[must_use]
    pub fn start(
        settings: ContextSettings,
        namespaces: &Arc<dyn Namespaces>,
        path_of: impl FnMut(u64) -> Option<PathBuf> + Send + 'static,
    ) -> (Self, Option<Lookups>) {
        let ContextSettings { processes, nat, names, routes, ends } = settings;
        let started = nat.map(|limits| Translations::start(limits, Arc::clone(namespaces))).transpose();
        let (nat, no_nat) = match started {
            Ok(nat) => (nat, None),
            Err(error) => (None, Some(format!("translations of addresses are not known: {error}"))),
        };
        let (names, lookups) = names
            .map(|limits| {
                let names = Arc::new(Names::new(&limits));
                let lookups = Lookups::new(&limits, Arc::clone(&names));
                (names, lookups)
            })
            .unzip();
        let context = Self {
            processes: processes.map(|settings| Processes::new(settings, path_of)),
            nat,
            names,
            routes: routes.map(|limits| Routes::new(limits, Arc::clone(namespaces))),
            ends: Ends::new(ends),
            answers: AtomicU32::new(1),
            no_nat,
        };
        (context, lookups)
    }

    /// What processes did, in the order of the kernel.
    pub fn apply(&self, events: &[ProcessEvent]) {
        if let Some(processes) = &self.processes {
            processes.apply(events);
        }
    }

    /// What became known of ends of connections. Waits for nobody longer than a fraction of a millisecond.
    pub fn note(&self, ends: &[End]) {
        self.ends.note(ends);
        if let Some(processes) = &self.processes {
            let owners = ends.iter().filter_map(|end| end.connection.owner.as_ref());
            owners.for_each(|owner| processes.note(owner));
        }
    }

    /// Who answers the questions of one answer: it waits for at most 50 ms in all for what is not remembered.
    #[must_use]
    pub fn annotator(&self) -> Annotator<'_> {
        // 0 is none; after it the numbers begin anew.
        let answer = self.answers.fetch_add(1, Ordering::Relaxed).max(1);
        Annotator {
            context: self,
            patience: Cell::new(PATIENCE),
            has_caught_up: Cell::new(false),
            processes: Lender::new(answer),
            names: Lender::new(answer),
            owners: Lender::new(answer),
        }
    }

    /// Processes, unless they are off.
    #[must_use]
    pub fn processes(&self) -> Option<&Processes> {
        self.processes.as_ref()
    }

    /// Translations, unless they are off or cannot be known.
    #[must_use]
    pub fn nat(&self) -> Option<&Translations> {
        self.nat.as_ref()
    }

    /// What is to be known, and where it comes from. Names come from the messages of name servers, which others copy.
    #[must_use]
    pub fn sources(&self) -> Vec<(&'static str, &'static str)> {
        let processes = self.processes.is_some().then_some(("process facts", "/proc"));
        let nat = (self.nat.is_some() || self.no_nat.is_some()).then_some(("nat", "ctnetlink"));
        let routes = self.routes.is_some().then_some(("routes", "rtnetlink"));
        [processes, nat, routes].into_iter().flatten().collect()
    }

    /// What is missing and why, by the name of what is to be known; only of parts that are on.
    #[must_use]
    pub fn degradations(&self) -> Vec<(&'static str, String)> {
        let processes = self.processes.as_ref().and_then(Processes::degradation);
        let nat = self.no_nat.clone().or_else(|| self.nat.as_ref().and_then(Translations::degradation));
        let all = [("process facts", processes), ("nat", nat)];
        all.into_iter().filter_map(|(name, reason)| Some((name, reason?))).collect()
    }

    /// What is remembered and was counted.
    #[must_use]
    pub fn counts(&self) -> ContextCounts {
        ContextCounts {
            processes: self.processes.as_ref().map(Processes::counts),
            nat: self.nat.as_ref().map(Translations::counts),
            names: self.names.as_ref().map(|names| names.counts()),
            routes: self.routes.as_ref().map(Routes::counts),
            ends: self.ends.counts(),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Answers the questions of one answer.
#[derive(Debug)]
pub struct Annotator<'a> {
    context: &'a Context,
    /// What is left of [`PATIENCE`].
    patience: Cell<Duration>,
    /// Translations of all that an answer tells were taken in: it tells nothing that ended after it was asked for.
    has_caught_up: Cell<bool>,
    /// What the answer has of what is remembered.
    processes: Lender<Process>,
    names: Lender<[Arc<str>]>,
    owners: Lender<Owner>,
}

impl Annotator<'_> {
    /// Looks for what may have to be waited for, now and until the deadline.
    fn patiently<T>(&self, look: impl FnOnce(Instant, Instant) -> T) -> T {
        let began = Instant::now();
        let found = look(began, began + self.patience.get());
        self.patience.set(self.patience.get().saturating_sub(began.elapsed()));
        found
    }

    /// As many connections as are looked for at once, each with the place for what is known.
    fn fill<'k>(&'k self, questions: &[Question<'_>], known: &mut [Annotation<'k>]) {
        let by_own = self.fill_at_once(questions, known);
        // These may wait, and nothing is locked but what they wait for.
        self.patiently(|now, deadline| {
            if let Some(processes) = &self.context.processes {
                processes.look_at(now, deadline).fill(questions, known, &self.processes);
            }
            let Some(routes) = &self.context.routes else { return };
            // What comes in is answered to the address that it came from; what goes out is sent to where the connection's own
            // namespace translates it to. What others translate has left by then.
            let elsewhere = |number: usize, question: &Question<'_>, known: &Annotation<'_>| {
                let leaves = by_own[number] && question.direction == Direction::Outgoing;
                known.nat.filter(|_| leaves).map(|nat| nat.remote)
            };
            routes.look_at(now, deadline).fill(questions, known, elsewhere);
        });
    }

    /// What is known without waiting: names, translation and other end; and of each whether its own namespace translates it.
    /// Each part is locked once for all.
    fn fill_at_once<'k>(
        &'k self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'k>],
    ) -> [bool; AT_ONCE] {
        let Context { nat, names, ends, .. } = self.context;
        if let Some(names) = names {
            names.look().fill(questions, known, &self.names);
        }
        let mut by_own = [false; AT_ONCE];
        if let Some(nat) = nat {
            let looking = match self.has_caught_up.replace(true) {
                true => nat.look_again(),
                false => self.patiently(|_, _| nat.look()),
            };
            looking.of_each(questions, |number, translated| {
                (known[number].nat, by_own[number]) = (Some(translated.nat), translated.by_own);
            });
        }
        ends.fill(questions, known, |owner| self.owners.lend(owner));
        by_own
    }
}

impl Annotate for Annotator<'_> {
    fn annotate(&self, connections: &mut dyn Iterator<Item = &Connection>) -> Vec<Annotation<'_>> {
        let questions: Vec<Question<'_>> = connections.map(Question::of).collect();
        let mut known: Vec<_> = questions.iter().map(|_| Annotation::default()).collect();
        for (questions, known) in questions.chunks(AT_ONCE).zip(known.chunks_mut(AT_ONCE)) {
            self.fill(questions, known);
        }
        known
    }

    fn annotate_roll_up(&self, rollup: &RollUp) -> Annotation<'_> {
        let mut known = Annotation {
            process: rollup.owner.and_then(|owner| self.process(&owner)).map(Into::into),
            ..Annotation::default()
        };
        let Some((common, (local, remote))) =
            rollup.key.common.and_then(|common| Some((common, common.ends?)))
        else {
            return known;
        };
        let tuple = Tuple { protocol: rollup.key.protocol, netns: common.netns, local, remote };
        known.intra_host = tuple.stays_inside();
        if let Some(names) = &self.context.names {
            known.names =
                names.look().of(remote.ip(), rollup.owner.map_or(0, |owner| owner.pid)).map(Into::into);
        }
        if let Some(routes) = &self.context.routes {
            known.route =
                self.patiently(|now, deadline| routes.look_at(now, deadline).of(common.netns, local, remote));
        }
        known
    }

    fn process(&self, owner: &Owner) -> Option<Arc<Process>> {
        let processes = self.context.processes.as_ref()?;
        self.patiently(|now, deadline| processes.look_at(now, deadline).of(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::fixtures::Nowhere;

    #[test]
    fn an_answer_waits_for_so_long_in_all_however_long_its_reader_takes() {
        let namespaces: Arc<dyn Namespaces> = Arc::new(Nowhere);
        let (context, _) = Context::start(ContextSettings::default(), &namespaces, |_| None);
        let annotator = context.annotator();
        let wait_until = |time: Instant| while Instant::now() < time {};
        let began = Instant::now();
        wait_until(began + PATIENCE);
        annotator.patiently(|_, deadline| assert!(deadline >= began + 2 * PATIENCE));
        assert!(annotator.patience.get() > Duration::ZERO);
        annotator.patiently(|_, deadline| wait_until(deadline));
        assert_eq!(annotator.patience.get(), Duration::ZERO);
        annotator.patiently(|_, deadline| assert!(deadline <= Instant::now()));
    }
}
