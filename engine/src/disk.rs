//! What all who look at the disk share: which calls are out, and in which steps each file system counts time.
//!
//! One a process ([`Disk::of_process`]), since disks are; tests make their own. What is in it is explained in [`crate::calls`] and
//! [`crate::time_step`].

use std::sync::{Arc, LazyLock};

use crate::calls::Calls;
use crate::time_step::Steps;

/// The knowledge that is the same for every cache and every load.
#[derive(Debug, Default, Clone)]
pub(crate) struct Disk {
    pub(crate) calls: Arc<Calls>,
    pub(crate) steps: Arc<Steps>,
}

impl Disk {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        static DISK: LazyLock<Disk> = LazyLock::new(Disk::default);
        DISK.clone()
    }
}
