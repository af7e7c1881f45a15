---@meta _
-- The types of the plugin, for the language server; never loaded.

---@alias project_config.Hook fun(ctx: project_config.Context)
---@alias project_config.ErrorHook fun(err: project_config.Error, ctx: project_config.Context, file?: string)

--- What a user passes to `setup` and `load`: everything may be left out.
---@class project_config.Options
---@field config_dir? string|fun(ctx: project_config.Context): string where the files are; a function is asked at each load
---@field pipeline? project_config.Stage[] nil: walk, detect, find_files, execute
---@field executors? table<string, project_config.ExecutorOptions> by kind; a new kind `toml` stands for the files `*.toml`
---@field loading? project_config.LoadingOptions
---@field cache? project_config.CacheOptions
---@field on_load? project_config.Hook after each load
---@field on_error? project_config.ErrorHook instead of a notification
---@field on_clear? project_config.Hook before a context is emptied

---@class project_config.ExecutorOptions
---@field async? boolean may files of this kind be worked on side by side?
---@field run? project_config.FileRunner in a coroutine, with the path of each file

---@class project_config.LoadingOptions
---@field on? "startup"|"lazy"|"manual"
---@field start_dir? string where to look for the project; nil: the current directory

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
---@field on_load? project_config.Hook
---@field on_error? project_config.ErrorHook
---@field on_clear? project_config.Hook

---@class project_config.Executor
---@field async boolean
---@field run? project_config.FileRunner

---@class project_config.Loading
---@field on "startup"|"lazy"|"manual"
---@field start_dir? string

---@class project_config.Cache
---@field trust_mtime boolean
---@field timeout_ms integer
---@field max_file_size integer

--- Everything that is known of one project. `setup` makes the first one, which belongs to no project until a load binds it.
---@class project_config.Context: project_config.Config
---@field config_dir string|fun(ctx: project_config.Context): string after a load: the directory that was used
---@field project_root? string the directory of the innermost project
---@field project_name? string its full name, for example `big-repo/frontend`
---@field projects project_config.Project[] outermost first
---@field json table the merged JSON; what is changed in it is saved
---@field _json table the same, without being taken for changed
---@field _files_loaded table<string, true>
---@field _last_project_json? string the file that new settings go to; a load sets it, unless the user has
---@field _json_target? string what the last load has found it to be
---@field _id integer
---@field _report project_config.Report
---@field _config_dir? { used: string, option: string|fun(ctx: project_config.Context): string }
---@field _shows_json? boolean a load has put its document into `json`
---@field _clearing? boolean its `on_clear` runs
---@field _options project_config.Config the options it was made with

---@class project_config.Project
---@field root string
---@field name string

--- Where a setting is: keys joined by dots, or a list of keys. Integers are positions in lists, from 1; in a string with dots, a number
--- is one where there is a list.
---@alias project_config.Path string|(string|integer)[]

--- The `data` of the event `User ProjectConfigJsonChanged`.
---@class project_config.JsonChanged
---@field paths string[][] keys of objects from the root down; a list counts as one value; `{}` is the root: everything may have changed
---@field origin "local"|"disk" changed in this editor, or on disk by somebody else
---@field project_name string
---@field project_root string

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
---@field result? { [1]: project_config.Context?, [2]: project_config.Error? }

--- A run whose execution has begun.
---@class project_config.BegunRun: project_config.Run
---@field ctx project_config.Context
---@field report project_config.Report becomes the context's
---@field loaded table<string, true> becomes the context's `_files_loaded`
---@field paused boolean it waits for a `resume` reply
---@field sourcing? boolean a Vim file of it runs
---@field thread thread

--- A kind of files and who runs them.
---@class project_config.Kind
---@field async boolean
---@field runners (fun(ctx: project_config.Context, path: string, content: string))[] one after the other

--- A call of `load`.
---@class project_config.Submission
---@field opts? project_config.Options the options of this call
---@field ctx? project_config.Context load this context's project again
---@field automatic? boolean nobody called `load`
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
---@field load fun(request: project_config.Request): integer?, integer|project_config.Error, integer?
---@field load_await fun(request: project_config.Request): (fun(step: fun(...)))?, integer|project_config.Error, integer, integer?
---@field commit fun(run: integer, draft: integer): project_config.Commit?
---@field file fun(run: integer, index: integer): string?, string, string
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
---@field origin fun(context: integer, path: string[], rest: (string|integer)[]): string?, integer?
---@field flush_at_exit fun(log: string)
---@field leave fun(waited_ms: integer)
---@field resume fun(run: integer)
---@field finish fun(run: integer, succeeded: boolean): boolean
---@field is_live fun(run: integer): boolean
---@field clear fun(context: integer, runs?: integer[])
---@field check_wait fun(request: integer)
---@field refuse_busy fun(request: integer): boolean

---@class project_config.Request
---@field start_dir string absolute
---@field config_dir string absolute
---@field executors table<string, project_config.Executor>
---@field stages? project_config.Stage[]
---@field options integer
---@field automatic boolean
---@field trust_mtime boolean
---@field timeout_ms integer
---@field max_file_size integer

---@class project_config.Commit
---@field context integer
---@field current boolean
---@field project_root string
---@field project_name string
---@field projects project_config.Project[]
---@field stem string
---@field json_target string
---@field files integer
---@field problems project_config.Error[]
---@field json "none"|"whole"|"edits"
---@field timings { detect_ms: number, read_ms: number, merge_ms: number }

--- A directory entry's name, or a list of them.
---@alias project_config.Matcher string|string[]

---@class project_config.Stage
---@field stage "walk"|"detect"|"find_files"|"execute"
---@field direction? "up"|"down"
---@field matcher? project_config.Matcher
---@field override? boolean
---@field extensions? string[]
---@field router? table<string, project_config.FileRunner|project_config.FileRunner[]>

---@alias project_config.FileRunner fun(ctx: project_config.Context, path: string)
