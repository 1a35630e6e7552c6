//! One number of the status in both of its forms: a counter of `/v1/status` and a sample of `/metrics`.
//!
//! Whoever counts says both names at once, so that neither form can miss what the other has. Writing them is
//! not its business.

use serde::Serializer;

/// A number that the tracer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Its name in `/v1/status`.
    pub name: &'static str,
    /// What was counted.
    pub value: u64,
    /// How `/metrics` tells it; absent where a loss by cause is the same number.
    pub metric: Option<Metric>,
}

/// What `/metrics` says about a number beside its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name of its family, without the `_total` that counters end in. The unit is at the end.
    pub family: &'static str,
    /// What is counted, for a person; the same in all of the family.
    pub help: &'static str,
    /// Whether it can fall.
    pub kind: MetricKind,
    /// Name and value of the label that sets it apart in its family.
    pub label: Option<(&'static str, &'static str)>,
    /// True when the value is nanoseconds, which `/metrics` tells in seconds.
    pub in_seconds: bool,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A total since the process began. It never falls.
    Counter,
    /// A number as it is now.
    Gauge,
    /// Text in a label; the value is always 1.
    Info,
}

impl Count {
    /// A total since the process began.
    #[must_use]
    pub fn total(name: &'static str, family: &'static str, help: &'static str, value: u64) -> Self {
        let metric = Metric { family, help, kind: MetricKind::Counter, label: None, in_seconds: false };
        Self { name, value, metric: Some(metric) }
    }

    /// A number as it is now.
    #[must_use]
    pub fn now(name: &'static str, family: &'static str, help: &'static str, value: u64) -> Self {
        let metric = Metric { family, help, kind: MetricKind::Gauge, label: None, in_seconds: false };
        Self { name, value, metric: Some(metric) }
    }

    /// Nanoseconds in all since the process began. `/metrics` tells seconds, which the name of the family says.
    #[must_use]
    pub fn total_ns(name: &'static str, family: &'static str, help: &'static str, value: u64) -> Self {
        Self::total(name, family, help, value).in_seconds()
    }

    /// Nanoseconds as they are now.
    #[must_use]
    pub fn now_ns(name: &'static str, family: &'static str, help: &'static str, value: u64) -> Self {
        Self::now(name, family, help, value).in_seconds()
    }

    fn in_seconds(self) -> Self {
        Self { metric: self.metric.map(|metric| Metric { in_seconds: true, ..metric }), ..self }
    }

    /// A number that `/metrics` tells as a loss by cause.
    #[must_use]
    pub fn of_loss(name: &'static str, value: u64) -> Self {
        Self { name, value, metric: None }
    }

    /// The same, as one of several numbers of its family.
    #[must_use]
    pub fn labelled(self, label: &'static str, value: &'static str) -> Self {
        let metric = self.metric.map(|metric| Metric { label: Some((label, value)), ..metric });
        Self { metric, ..self }
    }
}

/// As `/v1/status` has them: values by name.
pub(crate) fn by_name<S: Serializer>(counts: &[Count], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|count| (count.name, count.value)))
}
