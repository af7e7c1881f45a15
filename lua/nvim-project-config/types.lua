---@meta _
-- What crosses the border to the native library (`src/exports.rs`), and what users hand in.

---@class project_config.Native
---@field version string
---@field interface integer
---@field attach fun(async: uv.uv_async_t, callbacks: table<integer, fun(...)>, error_metatable: table, in_thread: boolean): boolean
---@field detach fun()
---@field wait fun(): boolean
---@field wake fun()
---@field drain fun(): string?, any, any, any
---@field setup fun(): integer
---@field create_context fun(): integer
---@field load fun(request: project_config.Request): integer?, integer|project_config.Error, integer?
---@field load_await fun(request: project_config.Request): (fun(step: fun(...)))?, integer|project_config.Error, integer, integer?
---@field commit fun(run: integer, draft: integer): project_config.Commit?
---@field file fun(run: integer, index: integer): string?, integer, string
---@field edits fun(run: integer): project_config.Edit[]?
---@field piece fun(run: integer): string?, any, any
---@field show fun(run: integer, context: integer)
---@field resume fun(run: integer)
---@field finish fun(run: integer, succeeded: boolean): boolean
---@field is_live fun(run: integer): boolean
---@field clear fun(context: integer, runs?: integer[])
---@field check_wait fun(request: integer)
---@field refuse_busy fun(request: integer): boolean

---@class project_config.Request
---@field start_dir string absolute
---@field config_dir string absolute
---@field kinds project_config.Kind[]
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

---@class project_config.Edit
---@field set boolean
---@field [integer] string

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
