// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list with room for a fixed number of items.

/// At most `N` items, in the order in which they came.
#[derive(Clone, Debug)]
pub struct List<T: Copy, const N: usize> {
    items: [T; N],
    count: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// The empty list; `filler` stands in for items that are not there.
    #[must_use]
    pub const fn new(filler: T) -> Self {
        Self { items: [filler; N], count: 0 }
    }

    /// Adds an item at the end, or says that there is no room.
    pub fn push(&mut self, item: T) -> bool {
        self.insert(self.count, item)
    }

    /// Adds an item at `index` (at most the length), or says that there is no room.
    pub fn insert(&mut self, index: usize, item: T) -> bool {
        if self.count >= N || index > self.count {
            return false;
        }
        self.items.copy_within(index..self.count, index + 1);
        self.items[index] = item;
        self.count += 1;
        true
    }

    /// Takes the item at `index` out, if there is one.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let item = *self.as_slice().get(index)?;
        self.items.copy_within(index + 1..self.count, index);
        self.count -= 1;
        Some(item)
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.items.get(..self.count).unwrap_or(&[])
    }

    /// Whether another item would find no room.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count >= N
    }
}

impl<T: Copy, const N: usize> core::ops::Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    #[test]
    fn items_keep_their_order_and_the_bound_holds() {
        let mut list: List<u8, 3> = List::new(0);
        assert!(list.push(1) && list.push(3) && list.insert(1, 2));
        assert_eq!(list.as_slice(), [1, 2, 3]);
        assert!(!list.push(4) && list.is_full());
        assert_eq!(list.remove(0), Some(1));
        assert_eq!(list.remove(2), None);
        assert!(!list.insert(3, 9));
        assert_eq!(list.as_slice(), [2, 3]);
    }
}
