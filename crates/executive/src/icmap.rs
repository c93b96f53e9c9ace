//! Placeholder for the store, until its author puts the real one here.
use ferrosync_wire::value::{Key, Value};
/// x
#[derive(Debug)]
pub struct Icmap;
/// x
#[derive(Debug, Clone)]
pub struct Notification;
/// x
#[derive(Debug, Clone, Copy)]
pub struct CounterId;
impl Icmap {
    /// x
    pub fn new() -> Self {
        Self
    }
    /// x
    pub fn set(&mut self, _: Key, _: Value) -> Result<(), ()> {
        Ok(())
    }
    /// x
    pub fn get(&self, _: &str) -> Option<Value> {
        None
    }
    /// x
    pub fn counter(&mut self, _: Key) -> CounterId {
        CounterId
    }
    /// x
    pub fn bump(&mut self, _: CounterId) {}
    /// x
    pub fn poll_notification(&mut self) -> Option<Notification> {
        None
    }
}
