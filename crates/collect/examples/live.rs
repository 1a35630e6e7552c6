//! Prints what the kernel side tells for two seconds: the smallest use of this crate.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::ops::ControlFlow;
use std::time::Duration;

use collect::{CollectLimits, Collector, PassRequests, Report};

fn main() -> Result<(), collect::CollectError> {
    let requests = PassRequests::new()?;
    let collector = Collector::start(CollectLimits::default(), &requests, |report| {
        match report {
            Report::Events(events) => events.iter().for_each(|event| println!("{event:?}")),
            other => println!("{other:?}"),
        }
        ControlFlow::Continue(())
    })?;
    println!("{:?}", collector.support());
    std::thread::sleep(Duration::from_secs(2));
    let _ = requests.request();
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}
