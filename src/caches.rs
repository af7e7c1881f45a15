//! The caches as Lua has them: the handles, the calls, and what an answer says.
//!
//! What a cache holds, what is fresh and who waits for whom is the engine's ([`engine::caches`]). The Lua face
//! (`lua/nvim-project-config/cache/`) checks arguments and keeps the tables of entries by the ids that are given here: an entry that
//! somebody still holds does not cross the border again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use engine::caches::{Answer, CacheTicket, Caches, DirectoryEntry, FileState};
use engine::error::{Error, ErrorKind};
use engine::file_cache::FileEntry;
use engine::fingerprint::Fingerprint;
use engine::json::{Change, Value as Json};
use engine::loads::RequestId;
use engine::open::Limits;
use mlua::{AnyUserData, IntoLuaMulti, Lua, LuaString, MultiValue, Nil, UserData, Value};

use crate::compare::{self, Comparison};
use crate::convert::{Bytes, LuaError, os_string};
use crate::document;
use crate::main_loop::Reply;
use crate::session::Session;

/// Less than this is freed where it is dropped: handing it to a thread would take longer.
const SMALL: usize = 64 * 1024;

/// More than so many names take longer, too.
const MANY: usize = 1000;

/// A cache in Lua: the session's, or one of the user's own.
struct Handle(Garbage<Caches>);

impl UserData for Handle {}

/// A file's entry in Lua, for as long as its JSON has not been asked for.
struct FileHandle(Garbage<FileEntry>);

impl UserData for FileHandle {}

/// A directory's entry in Lua, for as long as its table is being built.
struct DirectoryHandle(Garbage<DirectoryEntry>);

impl UserData for DirectoryHandle {}

/// Shared, and freed on another thread if the main thread is the last to hold it: a parsed document of 10 MB takes 50 ms.
pub(crate) struct Garbage<T: Large>(Option<Arc<T>>);

/// What may take its time to free.
pub(crate) trait Large: Send + Sync + 'static {
    fn is_large(&self) -> bool;
}

impl Large for Caches {
    fn is_large(&self) -> bool {
        true
    }
}

impl Large for FileEntry {
    fn is_large(&self) -> bool {
        self.content.len() > SMALL
    }
}

impl Large for DirectoryEntry {
    fn is_large(&self) -> bool {
        self.entries.len() > MANY
    }
}

impl<T: Large> Garbage<T> {
    pub(crate) fn new(shared: Arc<T>) -> Self {
        Self(Some(shared))
    }

    pub(crate) fn get(&self) -> &Arc<T> {
        self.0.as_ref().expect("only `drop` takes it")
    }
}

impl<T: Large> Drop for Garbage<T> {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner)
            && last.is_large()
        {
            Session::get().discard(last);
        }
    }
}

/// All caches of the session.
pub(crate) struct AllCaches {
    shared: Arc<Caches>,
    /// The user's own that are in use.
    own: Mutex<Vec<Weak<Caches>>>,
    tell: Tell,
    /// What the answer that was taken last holds: Lua asks for it if it has no table of it any more.
    taken: Mutex<Option<Found>>,
}

/// Who gets the answers of all caches.
type Tell = fn(Vec<(CacheTicket, Answer)>);

enum Found {
    File(Garbage<FileEntry>, Fingerprint),
    Directory(Garbage<DirectoryEntry>),
}

impl AllCaches {
    pub(crate) fn new(max_bytes: u64, tell: Tell) -> Self {
        let shared = Caches::new(max_bytes, tell);
        Self { shared, own: Mutex::default(), tell, taken: Mutex::default() }
    }

    /// The ones that loads read through.
    pub(crate) fn shared(&self) -> &Arc<Caches> {
        &self.shared
    }

    /// New ones of the user's own.
    fn create(&self, max_bytes: u64) -> Arc<Caches> {
        let caches = Caches::new(max_bytes, self.tell);
        let mut own = lock(&self.own);
        own.retain(|caches| caches.strong_count() > 0);
        own.push(Arc::downgrade(&caches));
        caches
    }

    /// Waits for what is being written. Blocking.
    pub(crate) fn wait_for_writes(&self, timeout: Duration) {
        let began = Instant::now();
        let own: Vec<_> = lock(&self.own).iter().filter_map(Weak::upgrade).collect();
        for caches in own.iter().chain([&self.shared]) {
            caches.wait_for_writes(timeout.saturating_sub(began.elapsed()));
        }
    }

    /// Lets go of what the last answer held.
    pub(crate) fn clear_taken(&self) {
        self.keep(None);
    }

    fn keep(&self, found: Option<Found>) {
        let replaced = std::mem::replace(&mut *lock(&self.taken), found);
        drop(replaced);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a cache's calls may cost: `trust_mtime, timeout_ms, max_file_size` of Lua.
fn limits(trust_mtime: bool, max_file_size: u64) -> Limits {
    Limits { max_file_size, trust_mtime }
}

/// `caches(max_bytes?)`: a cache of files and one of directories, which hold at most so much; without it the session's own.
pub(crate) fn caches(session: &'static Session, lua: &Lua, max_bytes: Option<u64>) -> mlua::Result<AnyUserData> {
    let caches = match max_bytes {
        Some(max_bytes) => session.caches.create(max_bytes),
        None => Arc::clone(session.caches.shared()),
    };
    lua.create_userdata(Handle(Garbage::new(caches)))
}

/// `cache_get_file(caches, path, trust_mtime, timeout_ms, max_file_size)`: a request; a `"got_file"` reply answers it.
pub(crate) fn get_file(
    session: &'static Session,
    _: &Lua,
    (handle, path, trust_mtime, timeout_ms, max_file_size): (AnyUserData, LuaString, bool, u64, u64),
) -> mlua::Result<u64> {
    let (caches, path, limits) = (of(&handle)?, path_of(&path), limits(trust_mtime, max_file_size));
    let timeout = Duration::from_millis(timeout_ms);
    let request = session.new_request();
    ask(session, request, Answer::File, move |runtime| {
        caches.get_file(runtime, ticket(request), path, limits, timeout);
    });
    Ok(request.0)
}

/// `cache_get_directory(caches, path, trust_mtime, timeout_ms)`: a request; a `"got_directory"` reply answers it.
pub(crate) fn get_directory(
    session: &'static Session,
    _: &Lua,
    (handle, path, trust_mtime, timeout_ms): (AnyUserData, LuaString, bool, u64),
) -> mlua::Result<u64> {
    let (caches, path) = (of(&handle)?, path_of(&path));
    let timeout = Duration::from_millis(timeout_ms);
    let request = session.new_request();
    ask(session, request, Answer::Directory, move |runtime| {
        caches.get_directory(runtime, ticket(request), path, trust_mtime, timeout);
    });
    Ok(request.0)
}

/// `cache_write(caches, path, content, json?, timeout_ms, max_file_size)`: a request; a `"written"` reply answers it. `nil, err` for what
/// JSON cannot hold.
pub(crate) fn write(
    session: &'static Session,
    lua: &Lua,
    (handle, path, content, json, timeout_ms, max_file_size): (AnyUserData, LuaString, LuaString, Value, u64, u64),
) -> mlua::Result<u64> {
    let (caches, path, content) = (of(&handle)?, path_of(&path), content.as_bytes().to_vec());
    let json = json_of(lua, &json)?;
    let (limits, timeout) = (limits(true, max_file_size), Duration::from_millis(timeout_ms));
    session.save_at_exit();
    let request = session.new_request();
    ask(session, request, Answer::Written, move |runtime| {
        caches.write(runtime, ticket(request), path, content, json, limits, timeout);
    });
    Ok(request.0)
}

/// `cache_invalidate(caches, kind, path?)`: forgets what is known of the path, or (without one) everything of the kind.
pub(crate) fn invalidate(
    _: &'static Session,
    _: &Lua,
    (handle, kind, path): (AnyUserData, LuaString, Option<LuaString>),
) -> mlua::Result<()> {
    let caches = of(&handle)?;
    let is_file = kind.as_bytes() == b"file";
    match (is_file, path.as_ref().map(path_of)) {
        (true, Some(path)) => caches.invalidate_file(&path),
        (true, None) => caches.clear_files(),
        (false, Some(path)) => caches.invalidate_directory(&path),
        (false, None) => caches.clear_directories(),
    }
    Ok(())
}

/// The reply for an answer: `"got_file"|"got_directory", request, id|nil, err`, or `"written", request, err`.
pub(crate) fn reply(
    session: &'static Session,
    lua: &Lua,
    request: RequestId,
    answer: Answer,
) -> mlua::Result<MultiValue> {
    match answer {
        Answer::File(Ok(FileState { id, entry, fingerprint })) => {
            session.caches.keep(Some(Found::File(Garbage::new(entry), fingerprint)));
            ("got_file", request.0, id).into_lua_multi(lua)
        }
        Answer::Directory(Ok(entry)) => {
            let id = entry.id;
            session.caches.keep(Some(Found::Directory(Garbage::new(entry))));
            ("got_directory", request.0, id).into_lua_multi(lua)
        }
        Answer::File(Err(error)) => ("got_file", request.0, Nil, LuaError(error.as_asked())).into_lua_multi(lua),
        Answer::Directory(Err(error)) => {
            ("got_directory", request.0, Nil, LuaError(error.as_asked())).into_lua_multi(lua)
        }
        Answer::Written(result) => {
            ("written", request.0, result.err().map(|error| LuaError(error.as_asked()))).into_lua_multi(lua)
        }
    }
}

/// `cache_entry()`: what the last reply has found. A file: path, content, mtime, nanoseconds, size, and a handle if it may have JSON. A
/// directory: path, mtime, nanoseconds, a handle. To be asked for before the next reply is taken.
pub(crate) fn entry(session: &'static Session, lua: &Lua, (): ()) -> mlua::Result<MultiValue> {
    let found = lock(&session.caches.taken).take();
    match found {
        None => Ok(MultiValue::new()),
        Some(Found::File(entry, fingerprint)) => {
            let path = Bytes(entry.get().path.as_os_str());
            let content = lua.create_string(&entry.get().content)?;
            let mtime = fingerprint.mtime;
            let values = (path, content, mtime.secs, mtime.nanos, fingerprint.size);
            let mut values = values.into_lua_multi(lua)?;
            if may_have_json(entry.get()) {
                values.push_back(Value::UserData(lua.create_userdata(FileHandle(entry))?));
            }
            Ok(values)
        }
        Some(Found::Directory(entry)) => {
            let (mtime, path) = (entry.get().fingerprint.mtime, Arc::clone(&entry.get().path));
            let handle = lua.create_userdata(DirectoryHandle(entry))?;
            (Bytes(path.as_os_str()), mtime.secs, mtime.nanos, handle).into_lua_multi(lua)
        }
    }
}

/// `entry_json(handle)`: the document in a file, as `{"value":…}`; nil if there is none; `nil, err` if it is malformed.
pub(crate) fn entry_json(_: &'static Session, lua: &Lua, handle: AnyUserData) -> mlua::Result<MultiValue> {
    let handle = handle.borrow::<FileHandle>()?;
    match document_of(handle.0.get()) {
        Ok(document) => document.into_lua_multi(lua),
        Err(error) => (Nil, LuaError(error.as_asked())).into_lua_multi(lua),
    }
}

/// `directory_items(handle, from, count)`: the entries from the position `from` (from 1), at most `count` of them, as one text of
/// `type:name/` each; nil at the end.
pub(crate) fn directory_items(
    _: &'static Session,
    lua: &Lua,
    (handle, from, count): (AnyUserData, usize, usize),
) -> mlua::Result<Option<LuaString>> {
    let handle = handle.borrow::<DirectoryHandle>()?;
    let items: Vec<_> = handle.0.get().entries.iter().skip(from.saturating_sub(1)).take(count).collect();
    if items.is_empty() {
        return Ok(None);
    }
    let mut text = Vec::new();
    for item in items {
        text.extend_from_slice(item.kind.as_str().as_bytes());
        text.push(b':');
        text.extend_from_slice(&Bytes(&item.name).as_slice());
        text.push(b'/');
    }
    lua.create_string(text).map(Some)
}

/// The caches behind a handle.
pub(crate) fn of(handle: &AnyUserData) -> mlua::Result<Arc<Caches>> {
    Ok(Arc::clone(handle.borrow::<Handle>()?.0.get()))
}

fn path_of(path: &LuaString) -> PathBuf {
    os_string(&path.as_bytes()).into()
}

fn ticket(request: RequestId) -> CacheTicket {
    CacheTicket(request.0)
}

/// Begins a call of a cache, as soon as there is a runtime. If there is none, or the call panics, the request is answered with that.
fn ask<T: 'static>(
    session: &'static Session,
    request: RequestId,
    answer: fn(Result<T, Error>) -> Answer,
    start: impl FnOnce(&tokio::runtime::Handle) + Send + 'static,
) {
    session.with_runtime(move |runtime| {
        let error = match runtime {
            Ok(runtime) => match catch_unwind(AssertUnwindSafe(|| start(runtime))) {
                Ok(()) => return,
                Err(_) => ErrorKind::Runtime("a defect of nvim-project-config; please report it".into()).into(),
            },
            Err(error) => error,
        };
        session.main_loop.post([Reply::Got(request, answer(Err(error)))]);
    });
}

/// The JSON that a value of Lua's is.
///
/// # Errors
///
/// `UnsupportedValue` for the first thing in it that JSON cannot hold, with the way there.
fn json_of(lua: &Lua, value: &Value) -> mlua::Result<Option<Json>> {
    let Comparison { mut edits, refused } = compare::compare(lua, None, value, &["json".to_owned()])?;
    if let Some(refused) = refused.into_iter().next() {
        let text = format!("file_cache:write: `{}` {}; JSON cannot hold it", refused.path.join("."), refused.what);
        return Err(mlua::Error::external(Error::from(ErrorKind::UnsupportedValue(text))));
    }
    Ok(match edits.pop().map(|edit| edit.change) {
        Some(Change::Set(json)) => Some(json),
        Some(Change::Delete) | None => None,
    })
}

/// Whether it is worth a handle: files of a kind that is JSON, and those that were written with some.
fn may_have_json(entry: &FileEntry) -> bool {
    // Only a file of such a kind is parsed for it.
    entry.is_json() || matches!(entry.shown_json(), Ok(Some(_)))
}

/// The document of a file as a text for Lua's decoder; `None` where there is none.
fn document_of(entry: &FileEntry) -> Result<Option<String>, Error> {
    match entry.shown_json() {
        Ok(document) => Ok(document.map(|document| document::text_of(&document))),
        // Settings are objects; JSON may be anything.
        Err(error) if matches!(error.kind, ErrorKind::UnsupportedValue(_)) => {
            document::value(&entry.content).map(document::text).map(Some).ok_or(error)
        }
        Err(error) => Err(error),
    }
}
