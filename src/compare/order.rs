//! The order of keys that are new, for which Lua's tables have none: that of their bytes.
//!
//! A thousand of them are sorted on the main thread in the time that freeing them takes: keys that are new together tend to begin
//! alike, so what tells them apart is compared as one number, and the keys themselves, each behind a pointer, hardly ever.

/// The positions of `items` in the order of their keys.
pub(super) fn by_key<T>(items: &[(String, T)]) -> Vec<usize> {
    let Some(((first, _), others)) = items.split_first() else { return Vec::new() };
    let mut alike = first.as_bytes();
    for (key, _) in others {
        let end = alike.iter().zip(key.as_bytes()).take_while(|(a, b)| a == b).count();
        alike = &alike[..end];
    }
    let mut order: Vec<(u64, usize)> =
        items.iter().enumerate().map(|(at, (key, _))| (leading(&key.as_bytes()[alike.len()..]), at)).collect();
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| items[a.1].0.cmp(&items[b.1].0)));
    order.into_iter().map(|(_, at)| at).collect()
}

/// The first eight bytes as a number of the same order; less than eight are as if zeros followed.
fn leading(bytes: &[u8]) -> u64 {
    let mut leading = [0; 8];
    let len = bytes.len().min(leading.len());
    leading[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(leading)
}
