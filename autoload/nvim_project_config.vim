" Sources a file so that its first error ends it. Returns [] or [exception, throwpoint].
function! nvim_project_config#source(path) abort
  " `:source` expands the path once more, after the command line has: `$HOME` and `~` in a name, also where they were escaped.
  " What comes out of a variable it takes as it is, and that holds for every other character too.
  let $NVIM_PROJECT_CONFIG_SOURCE = a:path
  try
    execute 'source' fnameescape('$NVIM_PROJECT_CONFIG_SOURCE')
  catch
    return [v:exception, v:throwpoint]
  finally
    unlet! $NVIM_PROJECT_CONFIG_SOURCE
  endtry
  return []
endfunction
