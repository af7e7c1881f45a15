//! The way from one segment to the next: items in batches, and news of the projects with them.

use std::ffi::OsString;

use tokio::sync::mpsc;

use super::MOST_ITEMS;
use super::shared::Shared;
use crate::pipeline::host::Batch;

#[derive(Debug)]
pub(super) struct Link {
    /// `None` once nobody takes anything any more.
    sender: Option<mpsc::Sender<Batch>>,
    /// The stage that receives.
    stage: usize,
    is_last: bool,
}

impl Link {
    pub(super) fn new(sender: mpsc::Sender<Batch>, stage: usize) -> Self {
        Self { sender: Some(sender), stage, is_last: false }
    }

    /// One that takes all and leads nowhere.
    pub(super) fn last() -> Self {
        Self { sender: None, stage: 0, is_last: true }
    }

    /// Whether nobody takes anything (any more).
    pub(super) fn is_closed(&self) -> bool {
        self.sender.as_ref().is_none_or(mpsc::Sender::is_closed)
    }

    /// Whether it has led nowhere from the beginning.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Sends the items, waiting for room.
    pub(super) async fn send(&mut self, shared: &Shared, items: impl IntoIterator<Item = OsString>) {
        let mut items = items.into_iter();
        loop {
            let Some(sender) = &self.sender else { return };
            let batch: Vec<OsString> = items.by_ref().take(MOST_ITEMS).collect();
            // A native stage needs no news: the nest is shared.
            let projects = shared.is_function(self.stage).then(|| shared.take_news(self.stage)).flatten();
            if batch.is_empty() && projects.is_none() {
                return;
            }
            if let Err(lost) = sender.send(Batch { items: batch, projects }).await {
                self.sender = None;
                if lost.0.projects.is_some() {
                    shared.keep_news(self.stage);
                }
            }
        }
    }
}
