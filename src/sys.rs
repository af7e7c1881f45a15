//! What has to be asked of libuv and the operating system directly: beside [`crate::raw`] the one file with `unsafe` code.
//!
//! The wake-up handle is a `vim.uv.new_async()` that Lua made and keeps alive until [`Wake::detach`]. What to do after waking up is
//! decided in Lua; what there is to do lies in [`crate::main_loop`].

use std::ffi::{c_int, c_void};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

type AsyncSend = unsafe extern "C" fn(*mut c_void) -> c_int;

enum Target {
    /// Not attached yet, or Neovim is leaving: waking does nothing.
    Nobody,
    /// `uv_async_send` of the host process, and its `uv_async_t`.
    Handle { send: AsyncSend, handle: *mut c_void },
    /// A thread of Lua's own waits in [`Wake::wait`] and sends for us; `pending` is set until it has noticed.
    Thread { pending: bool },
}

// SAFETY: `uv_async_send` is the one libuv function that any thread may call. The handle it is given stays valid while it is
// stored here, because Lua closes it only after `detach` has replaced it under the mutex that every sender holds.
unsafe impl Send for Target {}

/// Wakes the main loop, from any thread.
pub(crate) struct Wake {
    target: Mutex<Target>,
    changed: Condvar,
}

impl Wake {
    pub(crate) const fn new() -> Self {
        Self { target: Mutex::new(Target::Nobody), changed: Condvar::new() }
    }

    /// Wakes through the `uv_async_t` behind a luv handle, if the host process exports `uv_async_send`; false if it does not.
    ///
    /// `userdata` is the address of a `uv_async_t*` inside a live luv userdata; the caller keeps the handle open until `detach`.
    pub(crate) fn attach_handle(&self, userdata: *const c_void) -> bool {
        let Some(send) = host_async_send() else { return false };
        // SAFETY: luv keeps one pointer to the libuv handle in the userdata of every handle; the Lua side passes the userdata of a
        // handle that it has just made with `vim.uv.new_async`.
        let handle = unsafe { userdata.cast::<*mut c_void>().read() };
        *self.lock() = Target::Handle { send, handle };
        true
    }

    /// Wakes through a thread that calls [`Wake::wait`] in a loop.
    pub(crate) fn attach_thread(&self) {
        *self.lock() = Target::Thread { pending: false };
    }

    /// Wakes the main loop; several calls before it runs count as one.
    pub(crate) fn wake(&self) {
        let mut target = self.lock();
        match &mut *target {
            Target::Nobody => {}
            Target::Handle { send, handle } => {
                // SAFETY: the handle is open, see `Target`; the lock is held across the call, so `detach` cannot come between.
                unsafe { send(*handle) };
            }
            Target::Thread { pending } => {
                *pending = true;
                self.changed.notify_one();
            }
        }
    }

    /// Blocks until there is a reason to wake the main loop (true), or until `detach` (false). For the thread of `attach_thread`.
    pub(crate) fn wait(&self) -> bool {
        let mut target = self.lock();
        loop {
            match &mut *target {
                Target::Thread { pending: true } => {
                    *target = Target::Thread { pending: false };
                    return true;
                }
                Target::Thread { pending: false } => {
                    target = self.changed.wait(target).unwrap_or_else(PoisonError::into_inner);
                }
                Target::Nobody | Target::Handle { .. } => return false,
            }
        }
    }

    /// Wakes nobody from now on. After it returns no sender touches the handle any more, so it may be closed.
    pub(crate) fn detach(&self) {
        *self.lock() = Target::Nobody;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `uv_async_send` of the Neovim that has loaded this library.
#[cfg(unix)]
fn host_async_send() -> Option<AsyncSend> {
    // SAFETY: `dlsym` is called with a valid C string.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"uv_async_send".as_ptr()) };
    // SAFETY: a symbol of this name in a process that runs Neovim is libuv's function of this signature.
    (!symbol.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, AsyncSend>(symbol) })
}

#[cfg(not(unix))]
fn host_async_send() -> Option<AsyncSend> {
    None
}

/// Makes the calling thread one that does not interrupt others when it wakes up: a worker that is woken on the core of the main thread
/// waits until that one sleeps, instead of holding up the editor. Where the system knows no such thing, nothing happens.
pub(crate) fn yield_to_editor() {
    #[cfg(target_os = "linux")]
    {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: 0 names the calling thread, and the parameters outlive the call.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    }
}

/// Has `work` called when the process ends, also by `exit` somewhere.
pub(crate) fn at_exit(work: extern "C" fn()) {
    #[cfg(unix)]
    // SAFETY: the function is part of this library, which is never unloaded while its threads run; it does not unwind.
    unsafe {
        libc::atexit(work);
    }
    #[cfg(not(unix))]
    let _ = work;
}
