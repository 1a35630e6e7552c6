//! The layers of checks and tests, in the order in which they run.
//!
//! A layer's name is also its class in the not-run protocol. What a layer does is elsewhere.

use crate::packages::Use;

/// One layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Format,
    Clippy,
    Tidy,
    Unit,
    Property,
    Contract,
    Kernel,
    EndToEnd,
    /// The kernel tests on other kernels.
    Matrix,
}

impl Layer {
    /// Every layer, in order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Format,
        Self::Clippy,
        Self::Tidy,
        Self::Unit,
        Self::Property,
        Self::Contract,
        Self::Kernel,
        Self::EndToEnd,
        Self::Matrix,
    ];

    /// Its name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Unit => "unit",
            Self::Property => "property",
            Self::Contract => "contract",
            Self::Kernel => "kernel",
            Self::EndToEnd => "e2e",
            Self::Matrix => "matrix",
        }
    }

    /// The layer of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.name() == name)
    }

    /// Whether it consists of tests, which a filter can select, and not of one check.
    pub(crate) fn is_tests(self) -> bool {
        !matches!(self, Self::Format | Self::Clippy | Self::Tidy)
    }

    /// Whether its tests load BPF programs and make namespaces, one test after the other.
    pub(crate) fn needs_root(self) -> bool {
        matches!(self, Self::Kernel | Self::EndToEnd)
    }

    /// What it needs from the system.
    pub(crate) fn uses(self) -> &'static [Use] {
        match self {
            Self::Format => &[Use::Format],
            Self::Tidy => &[],
            Self::Clippy | Self::Unit | Self::Property | Self::Contract => &[Use::Build],
            Self::Kernel => &[Use::Build, Use::Kernel],
            Self::EndToEnd => &[Use::Build, Use::EndToEnd],
            Self::Matrix => &[Use::Build, Use::Matrix],
        }
    }

    /// The layer of an integration test in `crates/*/tests/`, by the name of its target.
    pub(crate) fn of_target(target: &str) -> Self {
        match target {
            "kernel" => Self::Kernel,
            "e2e" => Self::EndToEnd,
            name if name.starts_with("property_") => Self::Property,
            _ => Self::Contract,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integration_test_belongs_to_a_layer() {
        assert_eq!(Layer::of_target("kernel"), Layer::Kernel);
        assert_eq!(Layer::of_target("e2e"), Layer::EndToEnd);
        assert_eq!(Layer::of_target("property_table"), Layer::Property);
        assert_eq!(Layer::of_target("anything_else"), Layer::Contract);
    }

    #[test]
    fn names_lead_back_to_their_layers() {
        for layer in Layer::ALL {
            assert_eq!(Layer::named(layer.name()), Some(layer));
        }
        assert_eq!(Layer::named("kernels"), None);
    }
}
