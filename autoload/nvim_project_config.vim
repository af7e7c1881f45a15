" Sources a file so that its first error ends it. Returns [] or [exception, throwpoint].
function! nvim_project_config#source(path) abort
  try
    execute 'source' fnameescape(a:path)
  catch
    return [v:exception, v:throwpoint]
  endtry
  return []
endfunction
