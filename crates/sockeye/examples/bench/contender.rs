//! What is compared with its own absence.

/// A way to trace, which can be attached again and again.
pub trait Contender {
    fn name(&self) -> &'static str;
    fn attach(&self) -> anyhow::Result<Box<dyn Attached>>;
}

/// Programs that are attached.
pub trait Attached {
    /// Detaches every program and waits until the kernel has none of them left.
    fn detach(self: Box<Self>) -> anyhow::Result<()>;
}
