//! The command line of `cargo x test`.
//!
//! It only reads; what follows from the options is decided where they are used.

use super::layer::Layer;
use crate::kernels::Kernel;
use crate::stop::Stop;

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Classes in which not running is failing.
    pub(crate) require: Vec<Layer>,
    only: Vec<Layer>,
    /// Other kernels on which the kernel tests run too.
    pub(crate) kernels: Vec<&'static Kernel>,
    /// What kernels come to is checked in, and not held against what is.
    pub(crate) accept: bool,
    /// Parts of test names.
    pub(crate) filters: Vec<String>,
}

impl Options {
    /// Reads the arguments after `test`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Stop> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (argument.as_str(), None),
            };
            let (require, only) = (&mut options.require, &mut options.only);
            let unknown = |name: &str| Stop::Usage(format!("`{flag}` does not know `{name}`"));
            let layer = |name: &str| Layer::named(name).ok_or_else(|| unknown(name));
            let kernel = |name: &str| Kernel::named(name).ok_or_else(|| unknown(name));
            let mut names = || {
                let names = inline.or_else(|| rest.next().map(String::as_str));
                names
                    .map(|names| names.split(','))
                    .ok_or_else(|| Stop::Usage(format!("`{flag}` needs a value")))
            };
            match flag {
                "--require" => require.extend(names()?.map(layer).collect::<Result<Vec<_>, _>>()?),
                "--only" => only.extend(names()?.map(layer).collect::<Result<Vec<_>, _>>()?),
                "--kernels" => options.kernels.extend(names()?.map(kernel).collect::<Result<Vec<_>, _>>()?),
                "--accept" => options.accept = true,
                other if other.starts_with('-') => {
                    return Err(Stop::Usage(format!("`test` does not know `{other}`")));
                }
                _ => options.filters.push(argument.clone()),
            }
        }
        Ok(options)
    }

    /// The layers to run, in order. A filter speaks of tests, so it leaves the checks out unless `--only` names them.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let selected = |layer: &Layer| {
            if self.only.is_empty() {
                self.filters.is_empty() || layer.is_tests()
            } else {
                self.only.contains(layer)
            }
        };
        let matrix = !self.kernels.is_empty() || self.only.contains(&Layer::Matrix);
        let asked_for = |layer: &Layer| *layer != Layer::Matrix || matrix;
        Layer::ALL.into_iter().filter(selected).filter(asked_for).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, Stop> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn classes_are_separated_by_commas() {
        let options = parse(&["--require", "kernel,e2e", "--only=unit", "closed"]).unwrap();
        assert_eq!(options.require, [Layer::Kernel, Layer::EndToEnd]);
        assert_eq!(options.layers(), [Layer::Unit]);
        assert_eq!(options.filters, ["closed"]);
    }

    #[test]
    fn other_kernels_run_only_when_they_are_named() {
        let options = parse(&["--kernels=5.10,6.12", "--only", "matrix"]).unwrap();
        assert_eq!(options.kernels.iter().map(|kernel| kernel.name).collect::<Vec<_>>(), ["5.10", "6.12"]);
        assert_eq!((options.layers(), options.accept), (vec![Layer::Matrix], false));
        assert!(parse(&["--accept"]).unwrap().accept);
        assert!(!parse(&[]).unwrap().layers().contains(&Layer::Matrix));
        assert_eq!(parse(&["--only", "matrix"]).unwrap().layers(), [Layer::Matrix]);
        assert!(matches!(parse(&["--kernels", "6.13"]), Err(Stop::Usage(_))));
    }

    #[test]
    fn what_is_not_known_is_bad_usage() {
        for arguments in [&["--require", "kernle"][..], &["--require"], &["--only", ""], &["--fast"]] {
            assert!(matches!(parse(arguments), Err(Stop::Usage(_))), "{arguments:?}");
        }
    }

    #[test]
    fn a_filter_alone_runs_no_checks() {
        assert_eq!(parse(&["--kernels", "6.1"]).unwrap().layers(), Layer::ALL);
        assert!(parse(&["closed"]).unwrap().layers().iter().all(|layer| layer.is_tests()));
    }
}
