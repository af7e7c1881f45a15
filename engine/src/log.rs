//! The log: what was lost when the editor left, for those who look for it later.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::settings::Unsaved;

/// Appends a line for each loss to the file at `path`, whose directory is made if need be, and waits for the disk at most for `patience`:
/// it may be the disk that has hung. The values in it are for the user's eyes only.
pub fn append(path: &Path, lost: &[Unsaved], patience: Duration) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let text: String = lost.iter().map(|lost| format!("{seconds} lost: {lost}\n")).collect();
    let path = path.to_owned();
    let (done, wait) = mpsc::channel();
    let write = move || {
        let _ = path.parent().map(std::fs::create_dir_all);
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path);
        // Nobody is left to be told.
        let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = wait.recv_timeout(patience);
    }
}
