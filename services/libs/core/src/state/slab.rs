//! Numbered places that are used again once they are empty.

/// Values under small numbers.
#[derive(Debug, Clone)]
pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.items[number as usize] = Some(item);
            return number;
        }
        let number = u32::try_from(self.items.len()).expect("the queue's limit is far below 2^32");
        self.items.push(Some(item));
        number
    }

    pub(crate) fn get(&self, number: u32) -> &T {
        self.items[number as usize].as_ref().expect("a number is used only while its value is there")
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut T {
        self.items[number as usize].as_mut().expect("a number is used only while its value is there")
    }

    pub(crate) fn remove(&mut self, number: u32) -> T {
        let item = self.items[number as usize].take().expect("a value is removed once");
        self.free.push(number);
        if self.free.len() == self.items.len() {
            self.items = Vec::new();
            self.free = Vec::new();
        }
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}
