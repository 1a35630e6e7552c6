//! `cargo x test`: the checks and tests of the repository in one order, with one summary at the end.
//!
//! Each layer's own commands are in `checks` and `cargo_tests`; what is counted, and how, is in `report`.

mod cargo_tests;
mod checks;
mod layer;
mod libtest;
mod not_run;
mod options;
mod report;

use crate::install;
use crate::kernels::{self, Came};
use crate::packages::{self, Use};
use crate::stop::Stop;
use crate::superuser;
use crate::workspace::Workspace;

use cargo_tests::CargoTests;
use layer::Layer;
use options::Options;
use report::Report;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let options = Options::parse(arguments)?;
    let workspace = Workspace::locate()?;
    let mut report = Report::new(&options.require);
    if let Err(stop) = run_layers(&workspace, &options, &mut report) {
        report.broken(&stop);
    }
    if report.finish() { Ok(()) } else { Err(Stop::Silent) }
}

/// Runs every selected layer; only what makes the rest pointless ends it early.
fn run_layers(workspace: &Workspace, options: &Options, report: &mut Report) -> Result<(), Stop> {
    let mut layers = options.layers();
    provide_packages(&mut layers, report)?;
    for layer in &layers {
        match layer {
            Layer::Format => checks::format(workspace, report)?,
            Layer::Clippy => checks::clippy(workspace, report)?,
            Layer::Tidy => checks::tidy(workspace, report)?,
            _ => {}
        }
    }
    let (matrix, kernel) = (layers.contains(&Layer::Matrix), layers.contains(&Layer::Kernel));
    layers.retain(|&layer| layer.is_tests() && layer != Layer::Matrix);
    CargoTests::new(workspace, options)?.run(&layers, report)?;
    if (kernel || matrix) && options.filters.is_empty() && superuser::is_free() {
        announce(Layer::Matrix, "what the kernel of this host serves");
        judge(workspace, options, vec![kernels::on_host(workspace, options.accept)?], report)?;
    }
    if !options.kernels.is_empty() && matrix {
        let names: Vec<&str> = options.kernels.iter().map(|kernel| kernel.name).collect();
        announce(Layer::Matrix, &format!("the kernel tests on Linux {}", names.join(", ")));
        let came = kernels::run(workspace, &options.kernels, &options.filters)?;
        judge(workspace, options, came, report)?;
    }
    Ok(())
}

/// Counts what came of kernels, after holding it against what is checked in.
fn judge(
    workspace: &Workspace,
    options: &Options,
    came: Vec<(String, Came)>,
    report: &mut Report,
) -> Result<(), Stop> {
    for (name, mut came) in came {
        if let Came::Results(results) = &mut came {
            kernels::compare(workspace, &name, results, options.accept)?;
            kernels::tell(workspace, &name, results);
        }
        report.kernel(&name, &came);
    }
    Ok(())
}

/// Installs what the layers need. A layer whose own packages cannot be had does not run; without a compiler nothing does.
fn provide_packages(layers: &mut Vec<Layer>, report: &mut Report) -> Result<(), Stop> {
    let uses: Vec<Use> = layers.iter().flat_map(|layer| layer.uses()).copied().collect();
    let Err(stop) = install::provide(&uses) else {
        return Ok(());
    };
    let compiles = uses.contains(&Use::Build);
    if compiles && !packages::missing(&[Use::Build]).is_empty() {
        return Err(stop);
    }
    if let Stop::Failed(message) = &stop {
        println!("{message}");
    }
    layers.retain(|&layer| {
        let missing: Vec<_> = packages::missing(layer.uses()).iter().map(|package| package.what).collect();
        // The format of the Rust sources is checked also where there is no formatter for C.
        if missing.is_empty() || layer == Layer::Format {
            return true;
        }
        report.not_run(layer, "all", &format!("not installed: {}", missing.join("; ")));
        false
    });
    Ok(())
}

/// Says what runs next.
fn announce(layer: Layer, what: &str) {
    println!("\n== {}: {what}", layer.name());
}
