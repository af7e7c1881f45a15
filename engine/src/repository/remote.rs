//! The URL of a remote, as git understands it: where it leads, and by what name.
//!
//! No text of git's configuration is read here (`config.rs`), and no network is asked. A URL is a stranger's: any text gives a
//! remote or none.

use std::fmt;

/// Longer than any URL that leads somewhere.
const LONGEST: usize = 4096;

/// Where a repository was cloned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remote {
    /// On another machine.
    Elsewhere {
        /// In lower case, without user and port.
        host: String,
        /// Part by part, none of them empty, without `.git` at the end; at least one.
        path: Vec<String>,
    },
    /// On this machine, as it is written.
    Local(String),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { host, path } => write!(f, "{host}/{}", path.join("/")),
            Self::Local(url) => f.write_str(url),
        }
    }
}

/// `None` for what says nothing about where a repository is: a relative path, an address that only a helper of git's understands.
pub(super) fn parse(url: &str) -> Option<Remote> {
    if url.len() > LONGEST {
        return None;
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        if scheme.eq_ignore_ascii_case("file") {
            return Some(Remote::Local(url.to_owned()));
        }
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let (authority, path) = rest.split_once('/')?;
        return scheme.bytes().all(is_scheme).then(|| elsewhere(authority, path))?;
    }
    if url.starts_with('/') || (cfg!(windows) && url.as_bytes().get(1) == Some(&b':')) {
        return Some(Remote::Local(url.to_owned()));
    }
    let (host, path) = split_scp(url)?;
    elsewhere(host, path)
}

/// `user@host:path`; the colons of an address in brackets are not the one.
fn split_scp(url: &str) -> Option<(&str, &str)> {
    let begin = if url.split('/').next()?.contains('[') { url.find(']')? } else { 0 };
    let colon = begin + url[begin..].find(':')?;
    let (host, path) = (&url[..colon], &url[colon + 1..]);
    // With a slash before it, it is a path; `helper::address` is neither.
    (!host.contains('/') && !path.starts_with(':')).then_some((host, path))
}

fn elsewhere(authority: &str, path: &str) -> Option<Remote> {
    // The short form takes a port in brackets only, and there the user may be in them, too.
    let bracketed = authority.find('[').map(|begin| &authority[begin + 1..]).and_then(|rest| rest.split_once(']'));
    let host = match bracketed.map(|(inner, _)| without_user(inner)) {
        Some(address) if address.matches(':').count() > 1 => address,
        Some(host) => without_port(host),
        None => without_port(without_user(authority)),
    };
    let mut path: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    path.pop_if(|last| *last == ".git");
    if let Some(last) = path.last_mut() {
        *last = last.strip_suffix(".git").unwrap_or(last);
    }
    let path: Vec<_> = path.into_iter().map(str::to_owned).collect();
    (!host.is_empty() && !path.is_empty()).then(|| Remote::Elsewhere { host: host.to_ascii_lowercase(), path })
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(url: &str) -> Option<String> {
        parse(url).map(|remote| remote.to_string())
    }

    #[test]
    fn one_repository_is_one_remote_however_its_url_is_written() {
        for url in [
            "git@github.com:owner/repo.git",
            "github.com:owner/repo",
            "git@GitHub.com:/owner/repo.git/",
            "[git@github.com:22]:owner/repo.git",
            "git@[github.com:22]:owner/repo.git",
            "ssh://git@github.com/owner/repo.git",
            "ssh://git@github.com:22/owner/repo",
            "git+ssh://github.com/owner//repo",
            "git://github.com:/owner/repo.git",
            "https://github.com/owner/repo",
            "https://user:p%40ss@github.com:443/owner/repo.git/",
            "HTTPS://user@name@github.com/owner/repo/.git",
        ] {
            assert_eq!(shown(url).as_deref(), Some("github.com/owner/repo"), "{url}");
        }
    }

    #[test]
    fn sub_groups_and_unusual_hosts_are_kept() {
        for (url, expected) in [
            ("git@gitlab.com:group/sub/Repo.git", "gitlab.com/group/sub/Repo"),
            ("ssh://[::1]:2222/~me/repo", "::1/~me/repo"),
            ("[::1]:repo", "::1/repo"),
            ("https://dev.azure.com/org/project/_git/repo", "dev.azure.com/org/project/_git/repo"),
            ("host:../.git.git", "host/../.git"),
            ("host:a:b", "host/a:b"),
        ] {
            assert_eq!(shown(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_is_on_this_machine_counts_as_it_is_written() {
        for url in ["/srv/git/repo.git", "file:///srv/git/repo.git", "FILE://host/repo"] {
            assert_eq!(parse(url), Some(Remote::Local(url.to_owned())));
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_remote() {
        let long = "a".repeat(LONGEST) + ":b";
        for url in [
            "",
            ":",
            "host:",
            "host:/",
            "://",
            "https://",
            "https://host",
            "https://host/",
            "https:///owner/repo",
            "@:a/b",
            "../repo.git",
            "./a:b",
            "a/b:c",
            "repo",
            "ext::sh -c true",
            "codecommit::region://repo/x",
            "[::1",
            "host:.git",
            &long,
        ] {
            assert_eq!(shown(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_url_is_too_strange(url in "([a-z]{0,4}|[:/@.\\[\\]]|git|\\PC){0,12}") {
            if let Some(Remote::Elsewhere { host, path }) = parse(&url) {
                prop_assert!(!host.is_empty() && !path.is_empty());
                prop_assert!(path.iter().all(|part| !part.is_empty() && !part.contains('/')));
            }
        }
    }
}
