-- The examples of the documentation, taken out of its files: `lua` blocks of the README, `>lua` and `>vim` blocks of the help. It runs
-- nothing; documentation_spec.lua says what each needs and what has to come of it.
local M = {}

---@class test.Example
---@field key string such as "README: Quick start 2": the heading above it, and which one below that heading it is
---@field line integer of the file, of its first line
---@field language "lua"|"vim"
---@field text string without the indentation of the block

---@param lines string[]
---@return string
local function dedented(lines)
  local indent
  for _, line in ipairs(lines) do
    local own = line:match("^( *)%S")
    if own and (not indent or #own < #indent) then
      indent = own
    end
  end
  return table.concat(
    vim.tbl_map(function(line)
      return line:sub(#(indent or "") + 1)
    end, lines),
    "\n"
  ) .. "\n"
end

--- What both kinds of files have in common: blocks below headings.
---@param name string
---@param text string
---@param heading_of fun(line: string): string?
---@param opens fun(line: string): string?, string? language, and a pattern of the line after the last one
---@return test.Example[]
local function examples(name, text, heading_of, opens)
  local found, counts, heading = {}, {}, ""
  local block, language, closes
  local number = 0
  for line in vim.gsplit(text, "\n", { plain = true }) do
    number = number + 1
    if block and line:find(closes) then
      if language == "lua" or language == "vim" then
        counts[heading] = (counts[heading] or 0) + 1
        table.insert(found, {
          key = ("%s: %s %d"):format(name, heading, counts[heading]),
          line = number - #block,
          language = language,
          text = dedented(block),
        })
      end
      block = nil
    elseif block then
      table.insert(block, line)
    else
      heading = heading_of(line) or heading
      language, closes = opens(line)
      block = closes and {}
    end
  end
  assert(not block, name .. ": the last example has no end")
  return found
end

--- The examples of a Markdown file.
---@param name string how its keys begin
---@param text string
---@return test.Example[]
function M.of_markdown(name, text)
  return examples(name, text, function(line)
    return line:match("^#+ (.*)$")
  end, function(line)
    local language = line:match("^%s*```(%w*)$")
    return language, language and "^%s*```$"
  end)
end

--- The examples of a help file. Headings are chapters (`15. Pipeline`), and below them the tags on the right.
---@param name string how its keys begin
---@param text string
---@return test.Example[]
function M.of_help(name, text)
  return examples(name, text, function(line)
    return line:match("%s%*(%S+)%*$")
  end, function(line)
    -- A block ends at a line that begins in the first column: `<`, or text.
    local language = line:match("^>(%l*)$") or line:match(" >(%l*)$")
    return language, language and "^%S"
  end)
end

return M
