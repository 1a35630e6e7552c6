//! What writing an answer takes, in each of its forms: of connections that all have news, on one core, to a writer that only
//! counts. The answer is that of `deltas`.

use std::io;

use anyhow::Context;
use connections::WallOffset;
use encode::native::{self, Fields};
use encode::{Answer, reference};

use crate::cpu_time::thread_ns;
use crate::deltas::{CONNECTIONS, Readings, observation};
use crate::sample::Sample;
use crate::table::{Limit, Values};

/// 1 000 000 and 400 000 connections per second.
const PROTOBUF_NS_MAX: f64 = 1000.0;
const NATIVE_JSON_NS_MAX: f64 = 2500.0;

pub fn measure(rounds: u32) -> anyhow::Result<Values> {
    let mut world = Readings::new(CONNECTIONS, observation)?;
    world.read(0)?;
    let (delta, _ticket) = world.make()?;
    let wall = WallOffset(1_795_341_595_000_000_001);
    let answer = Answer { delta: &delta, wall, instance: "bench", degradations: &[], context: &() };
    let native = |form, fields| {
        move |out: &mut Counting, answer: &Answer<'_>| native::write_delta(out, answer, form, fields)
    };
    let reference =
        |form| move |out: &mut Counting, answer: &Answer<'_>| reference::write_connections(out, answer, form);
    let few = Fields::parse("local,remote,delta").ok().context("these fields exist")?;
    let forms: [(&str, Write, Limit); 7] = [
        (
            "reference, protobuf",
            Box::new(reference(reference::Form::Protobuf)),
            Limit::AtMost(PROTOBUF_NS_MAX),
        ),
        ("reference, JSON", Box::new(reference(reference::Form::Json)), Limit::None),
        (
            "native, protobuf",
            Box::new(native(native::Form::Protobuf, Fields::ALL)),
            Limit::AtMost(PROTOBUF_NS_MAX),
        ),
        (
            "native, JSON",
            Box::new(native(native::Form::Json, Fields::ALL)),
            Limit::AtMost(NATIVE_JSON_NS_MAX),
        ),
        ("native, lines of JSON", Box::new(native(native::Form::Lines, Fields::ALL)), Limit::None),
        ("native, JSON of local, remote and delta", Box::new(native(native::Form::Json, few)), Limit::None),
        (
            "native, protobuf of local, remote and delta",
            Box::new(native(native::Form::Protobuf, few)),
            Limit::None,
        ),
    ];
    let mut readings = vec![Vec::new(); forms.len()];
    let mut sizes = vec![0; forms.len()];
    // In turn, so that all meet the same machine; the first round fills memory that the others find.
    for round in 0..=rounds {
        for ((_, write, _), (readings, size)) in forms.iter().zip(readings.iter_mut().zip(&mut sizes)) {
            let mut out = Counting(0);
            let begin = thread_ns();
            write(&mut out, &answer)?;
            let taken = (thread_ns() - begin) / f64::from(CONNECTIONS);
            *size = out.0;
            readings.extend((round > 0).then_some(taken));
        }
    }
    let mut table = Values::default();
    for ((name, _, limit), (readings, size)) in forms.into_iter().zip(readings.into_iter().zip(sizes)) {
        let bytes = size / u64::from(CONNECTIONS);
        table.add_sample(
            format!("{name}, {bytes} bytes each, per connection"),
            "ns",
            &Sample::new(readings),
            limit,
        );
    }
    Ok(table)
}

type Write = Box<dyn Fn(&mut Counting, &Answer<'_>) -> io::Result<()>>;

/// Takes everything and keeps the number of bytes.
pub struct Counting(pub u64);

impl io::Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
