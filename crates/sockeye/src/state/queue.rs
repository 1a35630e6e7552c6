//! The way of the API to the state, and to what answers without it.

use std::io;
use std::sync::Arc;

use collect::KernelMaps;
use connections::Annotate;
use context::Context;
use endpoints::{Backend, Identity, Page, Query, Unavailable};
use tokio::sync::mpsc;

use super::Message;
use crate::pages;

/// The way of the API to the state.
#[derive(Debug, Clone)]
pub struct StateQueue {
    pub(super) queue: mpsc::Sender<Message>,
    pub(super) identity: Arc<Identity>,
    /// What the kernel refused.
    pub(super) degraded: Arc<[String]>,
    pub(super) maps: Option<Arc<KernelMaps>>,
    pub(super) context: Option<Arc<Context>>,
}

impl Backend for StateQueue {
    async fn ask(&self, query: Query) -> Result<(), Unavailable> {
        self.queue.send(Message::Query(query)).await.map_err(|_| Unavailable)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ready(&self) -> bool {
        !self.queue.is_closed()
    }

    fn write_maps(&self, names: &[String], mut out: &mut dyn io::Write) -> io::Result<()> {
        self.maps.as_ref().map_or(Ok(()), |maps| maps.write(names, &mut out))
    }

    fn degradations(&self) -> Vec<String> {
        let of_context = self.context.iter().flat_map(|context| context.degradations());
        let of_context = of_context.map(|(name, _)| name.to_owned());
        self.degraded.iter().cloned().chain(of_context).collect()
    }

    fn has_page(&self, page: Page) -> bool {
        self.context.as_ref().is_some_and(|context| pages::has(context, page))
    }

    fn write_page(&self, page: Page, out: &mut dyn io::Write) -> io::Result<()> {
        self.context.as_ref().map_or(Ok(()), |context| pages::write(context, page, out))
    }

    fn context(&self) -> Box<dyn Annotate + '_> {
        match &self.context {
            Some(context) => Box::new(context.annotator()),
            None => Box::new(()),
        }
    }
}
