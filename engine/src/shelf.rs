//! Things by absolute path, the least recently used of which go when they take up too much memory. What somebody else still holds then is
//! found again, so that there are not two of the same.
//!
//! What the things are, and whether they still hold, is for [`crate::file_cache`] and [`crate::dir_cache`] to say. The shelf knows
//! which paths are being read ([`Shelf::read`]), so that what was forgotten during a read is not put back by it. Nothing here
//! touches a disk.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// A path, compared byte by byte: `Path` takes itself to components each time it is hashed, and all paths here are made in one
/// way.
#[derive(Debug, Clone)]
pub(crate) struct Key(pub(crate) Arc<Path>);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_os_str() == other.0.as_os_str()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_os_str().hash(state);
    }
}

impl Borrow<OsStr> for Key {
    fn borrow(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

/// Something that others may hold too.
pub(crate) trait Shared: Clone {
    /// What finds it as long as others hold it.
    type Weak: std::fmt::Debug;

    fn downgrade(&self) -> Self::Weak;

    fn upgrade(weak: &Self::Weak) -> Option<Self>;
}

/// Things by path, each with its weight in bytes.
#[derive(Debug)]
pub(crate) struct Shelf<T: Shared> {
    max_bytes: u64,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T: Shared> {
    things: LruCache<Key, (T, u64)>,
    bytes: u64,
    /// What had to go. It takes no memory of its own but for this map's.
    gone: HashMap<Key, T::Weak>,
    /// At this size, those that nobody holds are swept out.
    most_gone: usize,
    /// A scan of this short list is cheaper than a map.
    reads: Vec<(u64, Key)>,
    last_read: u64,
}

/// So many that had to go are swept out at a time, or more.
const FEW: usize = 64;

/// All that a shelf held, to be dropped where that takes no time from anybody.
pub(crate) type Garbage<T> = LruCache<Key, (T, u64)>;

impl<T: Shared> Shelf<T> {
    /// An empty shelf for about so many bytes.
    pub(crate) fn new(max_bytes: u64) -> Self {
        let (things, gone) = (LruCache::unbounded(), HashMap::new());
        let kept = Kept { things, bytes: 0, gone, most_gone: FEW, reads: Vec::new(), last_read: 0 };
        Self { max_bytes, kept: Mutex::new(kept) }
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Every state between two statements under this lock is a valid one, so a panic elsewhere does no harm.
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the path; it counts as used.
    pub(crate) fn get(&self, path: &Path) -> Option<T> {
        let mut kept = self.kept();
        let thing = kept.things.get(path.as_os_str()).map(|(thing, _)| thing.clone());
        thing.or_else(|| T::upgrade(kept.gone.get(path.as_os_str())?))
    }

    /// Says that the path is about to be read.
    pub(crate) fn read(&self, path: &Arc<Path>) -> Read<'_, T> {
        let mut kept = self.kept();
        kept.last_read += 1;
        let number = kept.last_read;
        kept.reads.push((number, Key(Arc::clone(path))));
        Read { shelf: self, number }
    }

    /// Keeps the thing, whatever is being read: it is newer.
    pub(crate) fn put(&self, path: &Arc<Path>, thing: T, weight: u64) {
        let mut kept = self.kept();
        kept.reads.retain(|(_, key)| key.0.as_os_str() != path.as_os_str());
        let gone = kept.put(Key(Arc::clone(path)), thing, weight, self.max_bytes);
        drop(kept);
        drop(gone);
    }

    /// Forgets a path, also what is being read of it. Returns what was known, with its weight: to free it takes its time.
    pub(crate) fn remove(&self, path: &Path) -> Option<(T, u64)> {
        let mut kept = self.kept();
        kept.reads.retain(|(_, key)| key.0.as_os_str() != path.as_os_str());
        kept.gone.remove(path.as_os_str());
        let gone = kept.things.pop(path.as_os_str());
        kept.bytes -= gone.as_ref().map_or(0, |(_, weight)| *weight);
        gone
    }

    /// Forgets all, also what is being read. Returns what was known, with its weight.
    pub(crate) fn clear(&self) -> (Garbage<T>, u64) {
        let mut kept = self.kept();
        kept.reads.clear();
        (kept.gone, kept.most_gone) = (HashMap::new(), FEW);
        let weight = std::mem::take(&mut kept.bytes);
        (std::mem::replace(&mut kept.things, LruCache::unbounded()), weight)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.kept().bytes
    }
}

impl<T: Shared> Kept<T> {
    /// Returns what had to go: to free it takes its time.
    fn put(&mut self, key: Key, thing: T, weight: u64, max_bytes: u64) -> Vec<T> {
        let mut gone = Vec::new();
        self.gone.remove(&key);
        self.bytes += weight;
        if let Some((replaced, weight)) = self.things.put(key, (thing, weight)) {
            self.bytes -= weight;
            gone.push(replaced);
        }
        while self.bytes > max_bytes
            && let Some((key, (oldest, weight))) = self.things.pop_lru()
        {
            self.bytes -= weight;
            self.gone.insert(key, oldest.downgrade());
            gone.push(oldest);
        }
        if self.gone.len() > self.most_gone {
            self.gone.retain(|_, weak| T::upgrade(weak).is_some());
            self.most_gone = FEW.max(2 * self.gone.len());
        }
        gone
    }
}

/// A path that is being read; until it is dropped.
#[derive(Debug)]
pub(crate) struct Read<'a, T: Shared> {
    shelf: &'a Shelf<T>,
    number: u64,
}

impl<T: Shared> Read<'_, T> {
    fn end(kept: &mut Kept<T>, number: u64) -> Option<Key> {
        let at = kept.reads.iter().position(|(read, _)| *read == number)?;
        Some(kept.reads.swap_remove(at).1)
    }

    /// Keeps what was read; not if the path was forgotten, or something newer was put there, since the read began.
    pub(crate) fn keep(self, thing: T, weight: u64) {
        let mut kept = self.shelf.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = Self::end(&mut kept, self.number).map(|key| kept.put(key, thing, weight, self.shelf.max_bytes));
        drop(kept);
        drop(gone);
    }
}

impl<T: Shared> Drop for Read<'_, T> {
    fn drop(&mut self) {
        let mut kept = self.shelf.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Self::end(&mut kept, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    impl Shared for Arc<u8> {
        type Weak = Weak<u8>;

        fn downgrade(&self) -> Weak<u8> {
            Self::downgrade(self)
        }

        fn upgrade(weak: &Weak<u8>) -> Option<Self> {
            weak.upgrade()
        }
    }

    fn path(path: &str) -> Arc<Path> {
        Path::new(path).into()
    }

    fn is(shelf: &Shelf<Arc<u8>>, path: &Path, value: u8) -> bool {
        shelf.get(path).is_some_and(|thing| *thing == value)
    }

    #[test]
    fn what_is_forgotten_during_a_read_is_not_put_back_by_it() {
        let shelf = Shelf::<Arc<u8>>::new(100);
        let (a, b) = (path("/a"), path("/b"));
        for forget in
            [&|| drop(shelf.remove(&a)), &|| drop(shelf.clear()), &|| shelf.put(&a, Arc::new(7), 1)] as [&dyn Fn(); 3]
        {
            let (of_a, of_b) = (shelf.read(&a), shelf.read(&b));
            forget();
            let late = shelf.read(&a);
            of_a.keep(Arc::new(1), 1);
            assert!(!is(&shelf, &a, 1));
            late.keep(Arc::new(2), 1);
            assert!(is(&shelf, &a, 2));
            of_b.keep(Arc::new(3), 1);
        }
        assert_eq!(shelf.kept().reads.len(), 0);
    }

    #[test]
    fn a_read_that_ends_without_a_result_leaves_nothing() {
        let shelf = Shelf::<Arc<u8>>::new(100);
        drop(shelf.read(&path("/a")));
        assert_eq!(shelf.kept().reads.len(), 0);
    }

    #[test]
    fn bytes_are_counted_whatever_comes_and_goes() {
        let shelf = Shelf::<Arc<u8>>::new(10);
        for (name, weight) in [("/a", 4), ("/b", 4), ("/a", 5), ("/c", 3), ("/d", 11)] {
            shelf.put(&path(name), Arc::new(1), weight);
            let kept = shelf.kept();
            assert_eq!(kept.bytes, kept.things.iter().map(|(_, (_, weight))| *weight).sum::<u64>());
            assert!(kept.bytes <= 10);
        }
        shelf.put(&path("/a"), Arc::new(1), 4);
        shelf.remove(&path("/a"));
        shelf.remove(&path("/a"));
        assert_eq!(shelf.bytes(), 0);
        shelf.put(&path("/a"), Arc::new(1), 4);
        let (garbage, weight) = shelf.clear();
        assert_eq!((garbage.len(), weight, shelf.bytes()), (1, 4, 0));
    }

    #[test]
    fn what_had_to_go_is_found_as_long_as_somebody_holds_it() {
        let shelf = Shelf::<Arc<u8>>::new(10);
        let (held, a, b) = (Arc::new(1), path("/a"), path("/b"));
        shelf.put(&a, Arc::clone(&held), 10);
        shelf.put(&b, Arc::new(2), 10);
        assert!(Arc::ptr_eq(&shelf.get(&a).unwrap(), &held));
        shelf.put(&a, Arc::new(3), 10);
        assert!(is(&shelf, &a, 3) && shelf.get(&b).is_none());
        for forget in [&|| drop(shelf.remove(&a)), &|| drop(shelf.clear())] as [&dyn Fn(); 2] {
            shelf.put(&a, Arc::clone(&held), 10);
            shelf.put(&b, Arc::new(2), 10);
            forget();
            assert!(shelf.get(&a).is_none());
        }
    }

    #[test]
    fn what_nobody_holds_is_swept_out() {
        let shelf = Shelf::<Arc<u8>>::new(10);
        let held: Vec<_> = (0..100).map(Arc::new).collect();
        for index in 0..10_000_u64 {
            let thing = held.get(index as usize).map_or_else(|| Arc::new(0), Arc::clone);
            shelf.put(&path(&format!("/{index}")), thing, 10);
        }
        assert!(shelf.kept().gone.len() <= 2 * held.len() + FEW);
        assert!(is(&shelf, &path("/99"), 99));
    }
}
