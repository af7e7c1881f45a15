//! The tokio runtime: made by the first load on a thread of its own, never dropped; and threads for what is not tokio's.
//!
//! Making threads takes longer than all else that `setup` does, so it does not wait for them; what comes before is kept in order by
//! [`crate::early`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use engine::error::{Error, ErrorKind};
use tokio::runtime::{Handle, Runtime};

use super::showing::Arrival;
use super::{Session, defect};
use crate::main_loop::Reply;

impl Session {
    /// Does `work` now if there is a runtime, else on the thread that makes one; in the order of the calls. It gets the error if
    /// there is none.
    pub(crate) fn with_runtime(&'static self, work: impl FnOnce(Result<&Handle, Error>) + Send + 'static) {
        if let Some(tokio) = self.tokio.get().filter(|_| !self.early.is_busy()) {
            return work(Ok(tokio.handle()));
        }
        if !self.early.push(Box::new(work)) {
            return;
        }
        let run = || {
            crate::sys::yield_to_editor();
            let runtime = self.runtime();
            self.early.run(&runtime.map(Runtime::handle).map_err(|error| no_thread(&error)));
        };
        if let Err(error) = thread::Builder::new().name("project-config".into()).spawn(run) {
            self.early.run(&Err(no_thread(&error)));
        }
    }

    /// The runtime, made now if need be, with all that loads need; by one thread, should several come at once.
    pub(super) fn runtime(&self) -> std::io::Result<&Runtime> {
        if self.tokio.get().is_none() {
            self.home.get_or_init(std::env::home_dir);
            let build = || {
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("project-config")
                    .on_thread_start(crate::sys::yield_to_editor)
                    .enable_time()
                    .build()
            };
            // It panics when the system gives no thread, and whoever waits for the runtime would wait for ever.
            let runtime = catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|_| Err(no_worker()))?;
            self.settings.attach(runtime.handle().clone());
            // Another first load may have been quicker; its runtime is as good.
            if let Err(superfluous) = self.tokio.set(runtime) {
                superfluous.shutdown_background();
            }
        }
        Ok(self.tokio.get().expect("it has just been set"))
    }

    /// The runtime, where something has been asked of it already.
    pub(crate) fn runtime_handle(&self) -> Option<&tokio::runtime::Handle> {
        self.tokio.get().map(tokio::runtime::Runtime::handle)
    }

    /// Works for a run or a context on a thread of its own. The run fails if there is none, or if the work panics.
    pub(super) fn on_thread(&'static self, arrival: impl Into<Arrival>, work: impl FnOnce() + Send + 'static) {
        let arrival = arrival.into();
        let failed = move |error| {
            self.main_loop.post([match arrival {
                Arrival::Run(run) => Reply::Failed(run, error),
                Arrival::Context(context) => Reply::NotSaved(context, error),
            }]);
        };
        let work = move || {
            crate::sys::yield_to_editor();
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                failed(defect());
            }
        };
        if let Err(error) = thread::Builder::new().name("project-config".into()).spawn(work) {
            failed(no_thread(&error));
        }
    }
}

pub(super) fn no_thread(error: &std::io::Error) -> Error {
    Error { errno: error.raw_os_error(), ..ErrorKind::Runtime(format!("the system gives no thread: {error}")).into() }
}

pub(super) fn no_worker() -> std::io::Error {
    std::io::Error::other("the runtime could not be started")
}
