---@meta _
-- The types of the plugin, for the language server; never loaded.

---@alias project_config.Hook fun(ctx: project_config.Context)
--- Called with the root of the outermost project and the directory where the walk began; nil: it is named after its directory.
---@alias project_config.NameFunction fun(root: string, dir: string): string?
---@alias project_config.ErrorHook fun(err: project_config.Error, ctx: project_config.Context, file?: string)

--- What a user passes to `setup` and `load`: everything may be left out.
---@class project_config.Options
---@field config_dir? string|fun(ctx: project_config.Context): string where the files are; a function is asked at each load
---@field pipeline? project_config.Stage[] nil: walk, detect, find_files, execute
---@field executors? table<string, project_config.ExecutorOptions> by kind; a new kind `toml` stands for the files `*.toml`
---@field loading? project_config.LoadingOptions
---@field cache? project_config.CacheOptions
---@field project_name? "directory"|"remote"|project_config.NameFunction where the outermost project has its name from
---@field names? table<string, string> what the projects in these directories are called
---@field exclude? project_config.Matcher directories that are no project
---@field stop_at? string|string[] the walk up ends before these directories; nil: before the home directory
---@field on_load? project_config.Hook after each load
---@field on_error? project_config.ErrorHook instead of a notification
---@field on_clear? project_config.Hook before a context is emptied

---@class project_config.ExecutorOptions
---@field async? boolean may files of this kind be worked on side by side?
---@field run? project_config.FileRunner|project_config.FileRunner[] in a coroutine, with the path of each file; a list: one after the other

---@class project_config.LoadingOptions
---@field on? "startup"|"lazy"|"manual"
---@field start_dir? string where to look for the project; nil: the current directory
---@field watch? project_config.WatchOptions what is followed; counts as given to `setup`

---@class project_config.WatchOptions
---@field cwd? boolean load the project of each directory that becomes the current one
---@field buffer? boolean load the project of each file that is entered
---@field config_dir? boolean load again what changes on disk
---@field debounce_ms? integer how long a burst of changes has to have been over, in milliseconds

---@class project_config.CacheOptions
---@field trust_mtime? boolean false: read every file again at each load
---@field timeout_ms? integer how long a disk may take, in milliseconds
---@field max_file_size? integer larger files are refused; in bytes

--- The options in force.
---@class project_config.Config
---@field config_dir string|fun(ctx: project_config.Context): string
---@field pipeline? project_config.Stage[]
---@field executors table<string, project_config.Executor>
---@field loading project_config.Loading
---@field cache project_config.Cache
---@field project_name? "directory"|"remote"|project_config.NameFunction of options; of a context, see there
---@field names table<string, string>
---@field exclude? project_config.Matcher
---@field stop_at? string|string[]
---@field on_load? project_config.Hook
---@field on_error? project_config.ErrorHook
---@field on_clear? project_config.Hook

---@class project_config.Executor
---@field async boolean
---@field run? project_config.FileRunner|project_config.FileRunner[]

---@class project_config.Loading
---@field on "startup"|"lazy"|"manual"
---@field start_dir? string
---@field watch project_config.Watch

---@class project_config.Watch
---@field cwd boolean
---@field buffer boolean
---@field config_dir boolean
---@field debounce_ms integer

---@class project_config.Cache
---@field trust_mtime boolean
---@field timeout_ms integer
---@field max_file_size integer

--- Everything that is known of one project. `setup` makes the first one, which belongs to no project until a load binds it.
---@class project_config.Context: project_config.Config
---@field config_dir string|fun(ctx: project_config.Context): string after a load: the directory that was used
---@field project_root? string the directory of the innermost project
---@field project_name? string its full name, for example `big-repo/frontend`; the option of this name is in `_options`
---@field projects project_config.Project[] outermost first
---@field json table the merged JSON; what is changed in it is saved
---@field file_cache project_config.FileCache
---@field dir_cache project_config.DirectoryCache
---@field _caches? project_config.CacheSource its own caches; nil: the session's
---@field _json table the same, without being taken for changed
---@field _files_loaded table<string, true>
---@field _last_project_json? string the file that new settings go to; a load sets it, unless the user has
---@field _json_target? string what the last load has found it to be
---@field _id integer
---@field _report project_config.Report
---@field _clash? project_config.Clash
---@field _trouble? project_config.Error what keeps its files from being looked at
---@field _config_dir? { used: string, option: string|fun(ctx: project_config.Context): string }
---@field _shows_json? boolean a load has put its document into `json`
---@field _base? project_config.Context of the context of a load that is being planned: the one it was asked on
---@field _clearing? boolean its `on_clear` runs
---@field _options project_config.Config the options it was made with
---@field _caches? project_config.CacheSource of an independent context; the others have the session's
---@field _family? project_config.Family of an independent context, and of those that its loads have found

--- What the contexts of one `npc.new()` share.
---@class project_config.Family
---@field options project_config.Config
---@field first integer the id of the context that `new` has returned
---@field caches project_config.CacheSource
---@field handle? userdata none without the library

---@class project_config.Project
---@field root string
---@field name string

--- One state of a file. Shared by all who ask, and not to be changed.
---@class project_config.FileEntry
---@field path string as it was asked for
---@field content string
---@field mtime integer whole seconds
---@field mtime_ns integer nanoseconds within them
---@field size integer in bytes
---@field json? any of `.json` and `.jsonc` files, and what `write` was given: decoded when first asked for; null is vim.NIL
---@field json_error? project_config.Error why a JSON file has no `json`

---@class project_config.DirectoryItem
---@field name string
---@field type "file"|"directory"|"link"|"fifo"|"socket"|"char"|"block"|"unknown"

--- One state of a directory. Shared by all who ask, and not to be changed.
---@class project_config.DirectoryEntry
---@field path string as it was asked for
---@field entries project_config.DirectoryItem[] in byte order of the names
---@field mtime integer whole seconds
---@field mtime_ns integer nanoseconds within them

---@alias project_config.FileCallback fun(entry?: project_config.FileEntry, err?: project_config.Error)
---@alias project_config.DirectoryCallback fun(entry?: project_config.DirectoryEntry, err?: project_config.Error)
---@alias project_config.WriteCallback fun(ok: boolean, err?: project_config.Error)

--- What is written to a file.
---@class project_config.FileData
---@field content string
---@field json? any what the entry's `json` is from then on

--- Files by absolute path. `get` and `write` without a callback wait, in a coroutine, and return what the callback would get; with one
--- they may be called anywhere, and return nothing.
---@class project_config.FileCache: project_config.AnyCache
---@field get fun(self: project_config.FileCache, path: string, callback?: project_config.FileCallback): project_config.FileEntry?, project_config.Error?
---@field get_async fun(self: project_config.FileCache, path: string): project_config.FileEntry?, project_config.Error?
---@field write fun(self: project_config.FileCache, path: string, data: project_config.FileData, callback?: project_config.WriteCallback): boolean?, project_config.Error?
---@field write_async fun(self: project_config.FileCache, path: string, data: project_config.FileData): boolean, project_config.Error?
---@field invalidate fun(self: project_config.FileCache, path: string)
---@field clear_all fun(self: project_config.FileCache)

--- Directories by absolute path; as |project_config.FileCache|.
---@class project_config.DirectoryCache: project_config.AnyCache
---@field get fun(self: project_config.DirectoryCache, path: string, callback?: project_config.DirectoryCallback): project_config.DirectoryEntry?, project_config.Error?
---@field get_async fun(self: project_config.DirectoryCache, path: string): project_config.DirectoryEntry?, project_config.Error?
---@field invalidate fun(self: project_config.DirectoryCache, path: string)
---@field clear_all fun(self: project_config.DirectoryCache)

---@class project_config.DirectoryCacheOptions
---@field trust_mtime? boolean false: look again each time, whatever the fingerprint says
---@field timeout_ms? integer how long a disk may take, in milliseconds
---@field max_bytes? integer memory for what is kept, about

---@class project_config.FileCacheOptions: project_config.DirectoryCacheOptions
---@field max_file_size? integer larger files are refused; in bytes

---@class project_config.AnyCache
---@field _name "file_cache"|"dir_cache"
---@field _source project_config.CacheSource
---@field _limits project_config.Cache
---@field _of { ctx?: project_config.Context } weak: whose limits count

--- The library's caches behind one or several of Lua's.
---@class project_config.CacheSource
---@field handle? userdata made when it is first needed
---@field max_bytes? integer nil: the session's

--- Submits a call to the library: a request, or nil and an error.
---@alias project_config.CacheCall fun(lib: project_config.Native, handle: userdata, limits: project_config.Cache, path: string, content: string, json: any): integer?, project_config.Error?

--- Where a setting is: keys joined by dots, or a list of keys. Integers are positions in lists, from 1; in a string with dots, a number
--- is one where there is a list.
---@alias project_config.Path string|(string|integer)[]

--- The `data` of the event `User ProjectConfigJsonChanged`.
---@class project_config.JsonChanged
---@field paths string[][] keys of objects from the root down; a list counts as one value; `{}` is the root: everything may have changed
---@field origin "local"|"disk" changed in this editor, or on disk by somebody else
---@field project_name string
---@field project_root string

--- The `data` of the events `User ProjectConfigLoadPre`, `LoadPost`, `ClearPost`, `Error` and `NameClash`.
---@class project_config.Event
---@field root? string nil where no project is known
---@field name? string
---@field files string[] absolute; `LoadPre`: those that will be merged and run; `LoadPost`: those that were; `Error`: the file it is about
---@field reason? project_config.Reason nil where there was no load
---@field error? project_config.Error of `Error`
---@field other_root? string of `NameClash`: the directory that the name belongs to
---@field remedy? string of `NameClash`: the `names` line that tells the two apart

--- An update on its way.
---@class project_config.Update
---@field change fun(old: any): any
---@field path string[] keys of objects
---@field callback fun(result?: true, err?: project_config.Error)

--- What the last load of a context did.
---@class project_config.Report
---@field files { path: string, kind: string, ms?: number, failed?: boolean }[] in the order in which they ran; no time for merged JSON
---@field errors project_config.Error[]
---@field timings { detect_ms: number, read_ms: number, merge_ms: number }?
---@field stem? string the project's own file without its extension
---@field start_dir? string where the load began
---@field reason? project_config.Reason why there was a load
---@field problems? table<project_config.Error, true> those of `errors` that were found before any file ran
---@field opts? project_config.Options those of the call that has asked for it

--- Two projects of one name.
---@class project_config.Clash
---@field name string
---@field root string the directory that has the name, too
---@field other_root string the one that it belongs to
---@field proposal string a name that nobody has
---@field remedy string the `names` line that tells the two apart

---@class project_config.Error
---@field code string one of the codes of |nvim-project-config-errors|
---@field message string what went wrong, where, and what to do
---@field path? string the file or directory it is about
---@field line? integer from 1
---@field column? integer in bytes, from 1
---@field errno? integer the operating system's number

--- One execution of a load, on its way.
---@class project_config.Run
---@field id integer
---@field start_dir string
---@field draft project_config.Context the context it was asked on; the library decides which one it ends in
---@field config_dir string absolute
---@field options project_config.Config those of the context it ends in, once that is known
---@field asked project_config.Config the options in force when it was asked for
---@field options_id integer equal ones of live runs have equal ids
---@field at_startup boolean
---@field pending integer files that have begun and not ended
---@field ctx? project_config.Context
---@field report? project_config.Report
---@field awaited table<integer, true> the runs that its files await
---@field behind? integer the run that has to end before this one begins
---@field opts? project_config.Options those of the call
---@field pipeline? project_config.Stage[] as it was when the load was asked for
---@field leaves? project_config.MatcherNode[] what of its matchers only Lua can answer
---@field own? project_config.Context what the code of its pipeline gets while it is planned
---@field own_before? table<string, any> the fields of `own` when it was made
---@field told? { root?: string, name?: string, projects: project_config.Project[] } the project, as `own` and the library last agreed on it
---@field flows? table<integer, project_config.Flow> functions of its pipeline, by the library's question; 0: those behind `execute`
---@field failed_stages? table<integer|string, true> stages and options whose code has failed, and was reported
---@field early_errors? project_config.Error[] from before the report was begun
---@field buffer? integer the one that the user has entered
---@field reason project_config.Reason why it was asked for
---@field merges? boolean it shows settings, and runs no file
---@field is_silent? boolean it has changed nothing
---@field changed? string[] of a run that merges: the files whose settings have changed
---@field result? { [1]: project_config.Context?, [2]: project_config.Error? }
---@field thread? thread of its files, once it is executed

--- A run whose execution has begun.
---@class project_config.BegunRun: project_config.Run
---@field ctx project_config.Context
---@field report project_config.Report becomes the context's
---@field loaded table<string, true> becomes the context's `_files_loaded`
---@field paused boolean it waits for a `resume` reply
---@field sourcing? boolean a Vim file of it runs
---@field thread thread
---@field count integer of its files
---@field at integer the file that runs in `thread`, its kind, and when it began
---@field kind_name string
---@field began integer

--- A kind of files and who runs them.
---@class project_config.Kind
---@field async boolean
---@field runners (fun(ctx: project_config.Context, path: string, content?: string))[] one after the other
---@field of_content? function the runner that gets the content too

---@alias project_config.Reason "startup"|"manual"|"cwd"|"buffer"|"config_dir"

--- A call of `load`.
---@class project_config.Submission
---@field opts? project_config.Options the options of this call
---@field ctx? project_config.Context load this context's project again
---@field reason? project_config.Reason nil: somebody called `load`
---@field start_dir? string instead of the options' one
---@field near? boolean the start directory may be a file or not exist: then it is the nearest directory above
---@field buffer? integer the one that the user has entered
---@field yields? boolean the caller yields until the answer comes

-- What crosses the border to the native library (`src/exports.rs`).

---@class project_config.Native
---@field version string
---@field interface integer
---@field attach fun(async: uv.uv_async_t, callbacks: table<integer, fun(...)>, error_metatable: table, in_thread: boolean): boolean
---@field detach fun()
---@field wait fun(): boolean
---@field wake fun()
---@field has_replies fun(): boolean
---@field drain fun(): string?, any, any, any
---@field setup fun(): integer
---@field create_context fun(): integer
---@field create_family fun(caches: userdata): userdata
---@field load fun(request: project_config.Request): integer?, integer|project_config.Error, integer?
---@field load_await fun(request: project_config.Request): (fun(step: fun(...)))?, integer|project_config.Error, integer, integer?
---@field watch fun(debounce_ms?: number)
---@field look fun()
---@field locate fun(request: project_config.Request, paths: string[]): integer?, project_config.Error?
---@field paths fun(run: integer): string[]?, project_config.Error?
---@field commit fun(run: integer, draft: integer): project_config.Commit?
---@field files fun(run: integer, first: integer): string?, boolean, integer?, string[]
---@field content fun(run: integer, file: integer|string): string?
---@field merge fun(context: integer, path: string, run: integer?): integer
---@field forget_unmerged fun(context: integer, run: integer): integer?
---@field file_names fun(project_name: string): string?, string
---@field change fun(run: integer): "none"|"whole"|"edits"|nil
---@field edits fun(run: integer?, context: integer): string[][]?
---@field piece fun(run: integer?, context: integer): string?, any, any
---@field show fun(run: integer?, context: integer, at_once: boolean): boolean?, ("none"|"whole"|"edits")?
---@field compare fun(context: integer, json: any, urgent: boolean, target: string, wants_paths: boolean): string[][]|true|nil, (project_config.Error|project_config.Error[])?
---@field set fun(context: integer, path: string[], value: any, target: string, wants_paths: boolean): string[][]|true|nil, project_config.Error?
---@field kick fun()
---@field retry fun()
---@field flush fun(): integer
---@field update fun(context: integer, path: string[], target: string): integer
---@field update_to fun(ticket: integer, path: string[], value: any)
---@field update_drop fun(ticket: integer)
---@field unsaved fun(): { path: string, changes: string[], message?: string }[]
---@field json_value fun(text: string): string?
---@field glob_problem fun(glob: string): string? what is wrong with a glob
---@field origin fun(context: integer, path: string[], rest: (string|integer)[]): string?, integer?
---@field flush_at_exit fun(log: string)
---@field leave fun(waited_ms: integer)
---@field resume fun(run: integer)
---@field answer fun(question: integer, value: boolean|boolean[]|string[], projects?: project_config.Project[])
---@field tests fun(question: integer, first: integer, count: integer): project_config.Test[]?
---@field stage_items fun(question: integer): string[]?, boolean, project_config.Project[]?
---@field stage_send fun(question: integer, items: string[], projects?: project_config.Project[]): boolean?
---@field stage_close fun(question: integer)
---@field stage_end fun(question: integer, projects?: project_config.Project[])
---@field finish fun(run: integer, succeeded: boolean): boolean
---@field is_live fun(run: integer): boolean
---@field check_name fun(context: integer, state_dir: string)
---@field clear fun(context: integer, runs?: integer[])
---@field stop fun(runs?: integer[])
---@field check_wait fun(request: integer)
---@field refuse_busy fun(request: integer): boolean
---@field caches fun(max_bytes?: integer): userdata
---@field cache_get_file fun(caches: userdata, path: string, trust_mtime: boolean, timeout_ms: integer, max_file_size: integer): integer?, project_config.Error?
---@field cache_get_directory fun(caches: userdata, path: string, trust_mtime: boolean, timeout_ms: integer): integer?, project_config.Error?
---@field cache_write fun(caches: userdata, path: string, content: string, json: any, timeout_ms: integer, max_file_size: integer): integer?, project_config.Error?
---@field cache_invalidate fun(caches: userdata, kind: "file"|"directory", path?: string)
---@field cache_entry fun(): string?, any, any, any, any, userdata?
---@field entry_json fun(entry: userdata): string?, project_config.Error?
---@field directory_items fun(entry: userdata, from: integer, count: integer): string?

---@class project_config.Request
---@field start_dir string absolute
---@field config_dir string absolute
---@field family? userdata
---@field executors table<string, project_config.Executor>
---@field stages? project_config.Stage[]
---@field leaves? project_config.MatcherNode[] set by the library: what it will ask the main loop for, by position
---@field options integer
---@field reason? project_config.Reason nil: "manual"
---@field near? boolean
---@field trust_mtime boolean
---@field timeout_ms integer
---@field max_file_size integer
---@field naming? project_config.Naming nil: the defaults

--- What `naming.lua` makes of the options.
---@class project_config.Naming
---@field from "directory"|"remote"|"host"
---@field names { [1]: string, [2]: string }[]
---@field exclude? project_config.MatcherNode
---@field stop_at? string[]

---@class project_config.Commit
---@field context integer
---@field current boolean
---@field project_root string
---@field project_name string
---@field projects project_config.Project[]
---@field stem string
---@field json_target string
---@field files integer
---@field problems project_config.Error[] what is to be told
---@field standing? project_config.Error[] of a run that merges: what has been told before
---@field reason project_config.Reason
---@field merges boolean only its settings are shown, no file runs
---@field json "none"|"whole"|"edits"
---@field timings { detect_ms: number, read_ms: number, merge_ms: number }

---@alias project_config.MatcherOp "literal"|"glob"|"pattern"|"regex"|"fn"|"any"|"all"|"not"|"priority"

--- A matcher that was made by `nvim-project-config.matchers`: its arguments are its list part, a function is `fn`.
---@class project_config.MatcherNode
---@field op project_config.MatcherOp
---@field [integer] string|project_config.MatcherNode
---@field fn? fun(...: string): any

--- A name, a function, a list (any of them; with lists in it: in this order), or what `nvim-project-config.matchers` has made.
---@alias project_config.Matcher string|(fun(...: string): any)|project_config.MatcherNode|project_config.Matcher[]

--- A stage made by one of `nvim-project-config.stages.*`.
---@class project_config.NativeStage
---@field stage "walk"|"detect"|"find_files"|"execute"
---@field direction? "up"|"down"
---@field matcher? project_config.MatcherNode
---@field on_match? fun(ctx: project_config.Context, dir: string): boolean?
---@field override? boolean
---@field extensions? string[]
---@field finder? fun(ctx: project_config.Context): string[]
---@field router? table<string, project_config.FileRunner[]> by kind, without the dot
---@field routes? project_config.Route[] tried first, in this order

--- A function of the user's: takes items with `rx()` until `pipeline.DONE`, sends items with `tx(item)`.
---@alias project_config.StageFunction fun(ctx: project_config.Context, rx: project_config.Receiver, tx: project_config.Sender)

---@alias project_config.Stage project_config.NativeStage|project_config.StageFunction

---@class project_config.Receiver
---@field recv fun(): any the next item, or `pipeline.DONE`
---@overload fun(): any

---@class project_config.Sender
---@field send fun(item: any): boolean false if nobody takes it any more
---@overload fun(item: any): boolean

---@alias project_config.FileRunner fun(ctx: project_config.Context, path: string)

--- Files whose name matches go to these executors.
---@class project_config.Route
---@field matcher project_config.MatcherNode
---@field runners project_config.FileRunner[]

--- By extension (`lua` or `.lua`) an executor or a list of them; in the list part `{ matcher, executor or list }`, tried first.
---@alias project_config.Router table<string|integer, project_config.FileRunner|project_config.FileRunner[]|table>
