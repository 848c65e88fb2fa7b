// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The session table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::capabilities::SessionIds;
use crate::session::Session;
use crate::status::{Result, StatusError};

/// All sessions, by their numbers. A session that is in use outlives its place here.
pub struct SessionTable {
    capacity: usize,
    ids: SessionIds,
    inner: RwLock<Inner>,
    leaked: AtomicU64,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<u64, Arc<Session>>,
    /// Numbers that were given back.
    free: BTreeSet<u64>,
    /// How many numbers were ever given out.
    given: u64,
    last: Option<u64>,
    /// The numbers of sessions that the driver was not told are gone.
    dropped: HashSet<u64>,
}

impl SessionTable {
    /// An empty table for so many sessions.
    pub(crate) fn new(capacity: usize, ids: SessionIds) -> Self {
        SessionTable { capacity, ids, inner: RwLock::default(), leaked: AtomicU64::new(0) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session and returns its number; `NoSpc` if the table is full.
    pub fn insert(&self, session: Session) -> Result<u64> {
        let mut inner = self.write();
        if inner.sessions.len() >= self.capacity {
            return Err(StatusError::NoSpc);
        }
        let id = loop {
            let number = inner.free.pop_first().unwrap_or_else(|| {
                inner.given += 1;
                inner.given - 1
            });
            let id = match self.ids {
                SessionIds::Sequential => number,
                SessionIds::Sparse => number.reverse_bits(),
            };
            // A number that a fault has chosen may be in the way.
            if !inner.sessions.contains_key(&id) {
                break id;
            }
        };
        inner.dropped.remove(&id);
        inner.sessions.insert(id, Arc::new(session));
        inner.last = Some(id);
        Ok(id)
    }

    /// Adds a session under a number that a fault has chosen, in place of what is there.
    pub fn insert_as(&self, id: u64, session: Session) {
        self.write().sessions.insert(id, Arc::new(session));
    }

    /// The number that was given out last.
    pub fn last(&self) -> Option<u64> {
        self.read().last
    }

    /// The session of this number.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.read().sessions.get(&id).cloned()
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: u64) -> Option<Arc<Session>> {
        let mut inner = self.write();
        let session = inner.sessions.remove(&id)?;
        let number = match self.ids {
            SessionIds::Sequential => id,
            SessionIds::Sparse => id.reverse_bits(),
        };
        if number < inner.given {
            inner.free.insert(number);
        }
        Some(session)
    }

    /// Takes a session out without the driver's knowledge.
    pub fn drop_silently(&self, id: u64) {
        if self.remove(id).is_some() {
            self.write().dropped.insert(id);
        }
    }

    /// Is that the number of a session that the driver was not told is gone? It is, once: the
    /// driver is told now.
    pub(crate) fn take_dropped(&self, id: u64) -> bool {
        self.write().dropped.remove(&id)
    }

    /// Takes all out; those found are counted as left behind. The specification does not say that a
    /// reset does that: the driver need not know.
    pub(crate) fn clear(&self) {
        let mut inner = self.write();
        let found = inner.sessions.len() as u64;
        self.leaked.fetch_add(found, Ordering::Relaxed);
        let mut dropped = std::mem::take(&mut inner.dropped);
        dropped.extend(inner.sessions.keys());
        *inner = Inner { dropped, ..Inner::default() };
    }

    /// Takes all out, for a driver that knows none of them, and is told of none.
    pub(crate) fn discard(&self) {
        *self.write() = Inner::default();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.read().sessions.len()
    }

    /// How many [`SessionTable::clear`] has found in all.
    pub(crate) fn leaked(&self) -> u64 {
        self.leaked.load(Ordering::Relaxed)
    }
}
