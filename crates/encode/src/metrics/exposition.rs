//! Families of metrics as text, in the two forms that scrapers read. Knows no name of a metric.
//!
//! No crate does it: each of those for Prometheus writes one form only, and in the text format a scraper that is
//! given OpenMetrics finds no type for a counter.

use std::fmt::{self, Display, Write};

use super::{Family, Sample, Value};
use crate::count::MetricKind;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Units that are told apart from the name.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// A text form of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Form {
    /// The `Content-Type` of an answer in this form.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes all families.
pub(super) fn write(families: &[Family<'_>], form: Form) -> String {
    let mut out = String::new();
    write_all(&mut out, families, form).expect("a string takes everything");
    out
}

fn write_all(out: &mut String, families: &[Family<'_>], form: Form) -> fmt::Result {
    for family in families {
        match form {
            Form::Text => write_text_head(out, family)?,
            Form::OpenMetrics => write_open_metrics_head(out, family)?,
        }
        for sample in &family.samples {
            write_sample(out, family, sample)?;
        }
    }
    if form == Form::OpenMetrics {
        out.push_str("# EOF\n");
    }
    Ok(())
}

/// Here a family has the name of its samples, and the only types are those that version 0.0.4 knows.
fn write_text_head(out: &mut String, family: &Family<'_>) -> fmt::Result {
    let (name, suffix) = (family.name, suffix(family.kind));
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge | MetricKind::Info => "gauge",
    };
    writeln!(out, "# HELP {name}{suffix} {}", Escaped { text: family.help, quotes: false })?;
    writeln!(out, "# TYPE {name}{suffix} {kind}")
}

fn write_open_metrics_head(out: &mut String, family: &Family<'_>) -> fmt::Result {
    let name = family.name;
    let kind = match family.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Info => "info",
    };
    writeln!(out, "# TYPE {name} {kind}")?;
    let (_, last) = name.rsplit_once('_').unwrap_or_default();
    if UNITS.contains(&last) {
        writeln!(out, "# UNIT {name} {last}")?;
    }
    writeln!(out, "# HELP {name} {}", Escaped { text: family.help, quotes: true })
}

fn write_sample(out: &mut String, family: &Family<'_>, sample: &Sample<'_>) -> fmt::Result {
    write!(out, "{}{}", family.name, suffix(family.kind))?;
    if let Some((label, text)) = sample.label {
        write!(out, "{{{label}=\"{}\"}}", Escaped { text, quotes: true })?;
    }
    writeln!(out, " {}", sample.value)
}

/// What the name of a sample has beyond that of its family.
fn suffix(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "_total",
        MetricKind::Gauge => "",
        MetricKind::Info => "_info",
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(value) => write!(f, "{value}"),
            Value::Nanoseconds(value) => {
                let (seconds, rest) = (value / NANOSECONDS_PER_SECOND, value % NANOSECONDS_PER_SECOND);
                write!(f, "{seconds}.{rest:09}")
            }
        }
    }
}

/// Text in which nothing can end the line, and nothing the quotes around it.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.text.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Says \"a\\b\".\nTwice.";

    fn written(name: &'static str, kind: MetricKind, label: &str, value: Value, form: Form) -> String {
        let sample = Sample { label: Some(("label", label)), value };
        write(&[Family { name, help: HELP, kind, samples: vec![sample] }], form)
    }

    #[test]
    fn a_counter_is_declared_with_its_ending_in_the_text_format_and_without_it_in_openmetrics() {
        let counter = |form| written("x_seconds", MetricKind::Counter, "a", Value::Nanoseconds(1_050), form);
        let text = "# HELP x_seconds_total Says \"a\\\\b\".\\nTwice.\n\
                    # TYPE x_seconds_total counter\n\
                    x_seconds_total{label=\"a\"} 0.000001050\n";
        assert_eq!(counter(Form::Text), text);
        let open_metrics = "# TYPE x_seconds counter\n\
                            # UNIT x_seconds seconds\n\
                            # HELP x_seconds Says \\\"a\\\\b\\\".\\nTwice.\n\
                            x_seconds_total{label=\"a\"} 0.000001050\n\
                            # EOF\n";
        assert_eq!(counter(Form::OpenMetrics), open_metrics);
    }

    #[test]
    fn text_in_a_label_cannot_end_it() {
        for form in [Form::Text, Form::OpenMetrics] {
            let all = written("x", MetricKind::Gauge, "a\"} 1\n\\ü", Value::Whole(u64::MAX), form);
            let sample = all.lines().find(|line| line.starts_with("x{"));
            assert_eq!(sample, Some("x{label=\"a\\\"} 1\\n\\\\ü\"} 18446744073709551615"), "{form:?}");
        }
    }

    #[test]
    fn an_info_is_a_gauge_where_there_is_no_such_type() {
        let info = |form| written("x", MetricKind::Info, "a", Value::Whole(1), form);
        assert!(info(Form::Text).ends_with("# TYPE x_info gauge\nx_info{label=\"a\"} 1\n"));
        assert!(info(Form::OpenMetrics).starts_with("# TYPE x info\n# HELP x "));
        assert!(info(Form::OpenMetrics).ends_with("\nx_info{label=\"a\"} 1\n# EOF\n"));
    }
}
