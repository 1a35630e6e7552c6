//! The results as Markdown tables, and whether what they say is within its limit.

use std::fmt::Write;

use crate::pairs::Comparison;
use crate::sample::Sample;

/// What can be printed and judged.
pub trait Table {
    fn text(&self) -> String;
    /// Whether every limit in it is met.
    fn met(&self) -> bool;
}

/// What a number may be.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// It is only told.
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    fn met(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }

    fn verdict(self, value: f64) -> String {
        match self {
            Self::None => String::new(),
            Self::AtMost(most) => format!("at most {most}: {}", self.word(value)),
            Self::AtLeast(least) => format!("at least {least}: {}", self.word(value)),
        }
    }

    fn word(self, value: f64) -> &'static str {
        if self.met(value) { "met" } else { "NOT MET" }
    }
}

/// With and without each contender.
#[derive(Default)]
pub struct Comparisons {
    rows: Vec<(String, &'static str, Comparison)>,
    notes: Vec<(String, f64, Limit)>,
}

impl Comparisons {
    /// One row for each contender.
    pub fn add(&mut self, what: &str, unit: &'static str, compared: Vec<Comparison>) {
        let row = |compared: Comparison| (format!("{what}: {}", compared.contender), unit, compared);
        self.rows.extend(compared.into_iter().map(row));
    }

    /// A single number below the table.
    pub fn note(&mut self, what: impl Into<String>, value: f64, limit: Limit) {
        self.notes.push((what.into(), value, limit));
    }
}

impl Table for Comparisons {
    fn text(&self) -> String {
        let mut text = String::from(
            "| CPU time of both ends | without | with | added: median (middle half; min..max) | fastest | \
             ratio (min..max) | noise (middle half; min..max) |\n|---|---|---|---|---|---|---|\n",
        );
        for (what, unit, compared) in &self.rows {
            let (without, with, ratio) = (&compared.without, &compared.with, &compared.ratio);
            let _ = writeln!(
                text,
                "| {what} | {:.0} {unit} | {:.0} {unit} | {} {unit} | {:+.0} {unit} | {:.3} ({:.3}..{:.3}) | {} {unit} |",
                without.median(),
                with.median(),
                signed(&compared.added),
                compared.fastest_added(),
                ratio.median(),
                ratio.min(),
                ratio.max(),
                signed(&compared.noise),
            );
        }
        for (what, value, limit) in &self.notes {
            let verdict = limit.verdict(*value);
            let verdict = if verdict.is_empty() { verdict } else { format!(" ({verdict})") };
            let _ = writeln!(text, "\n{what}: {value:.1}{verdict}");
        }
        text.push('\n');
        text
    }

    fn met(&self) -> bool {
        self.notes.iter().all(|(_, value, limit)| limit.met(*value))
    }
}

/// A difference with its sign, and how far it scatters.
fn signed(sample: &Sample) -> String {
    let (low, high) = sample.quartiles();
    format!("{:+.0} ({low:+.0}..{high:+.0}; {:+.0}..{:+.0})", sample.median(), sample.min(), sample.max())
}

/// Numbers that stand for themselves.
#[derive(Default)]
pub struct Values {
    rows: Vec<Value>,
}

struct Value {
    what: String,
    unit: &'static str,
    value: f64,
    range: Option<(f64, f64)>,
    limit: Limit,
}

impl Values {
    pub fn add(&mut self, what: impl Into<String>, unit: &'static str, value: f64, limit: Limit) {
        self.rows.push(Value { what: what.into(), unit, value, range: None, limit });
    }

    /// The median counts.
    pub fn add_sample(&mut self, what: impl Into<String>, unit: &'static str, sample: &Sample, limit: Limit) {
        let range = Some((sample.min(), sample.max()));
        self.rows.push(Value { what: what.into(), unit, value: sample.median(), range, limit });
    }
}

impl Table for Values {
    fn text(&self) -> String {
        let mut text = String::from("| what | value | min..max | limit |\n|---|---|---|---|\n");
        for Value { what, unit, value, range, limit } in &self.rows {
            let range = range.map(|(min, max)| format!("{min:.2}..{max:.2}")).unwrap_or_default();
            let _ = writeln!(text, "| {what} | {value:.2} {unit} | {range} | {} |", limit.verdict(*value));
        }
        text.push('\n');
        text
    }

    fn met(&self) -> bool {
        self.rows.iter().all(|row| row.limit.met(row.value))
    }
}
